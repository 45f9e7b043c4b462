package mimetree

import (
	"strings"
	"testing"
)

func TestDecodeWords(t *testing.T) {
	for s, want := range map[string]string{
		"":                    "",
		"plain =? text ?=":    "plain =? text ?=",
		"a =?utf-8?q?b_c?= d": "a b c d",
		"=?utf-8?b?w6Q=?=":    "ä",
		"=?utf-8?B?w6Q?=":     "ä",
		"=?utf-8?b?w6QA?=":    "ä\x00",
		"=?utf-8?b?w6Qx1?=":   "ä1",
		"=?iso-8859-1?Q?=E4?= =?iso-8859-1?Q?=F6?= x": "äö x",
		"=?utf-8?x?b?=": "=?utf-8?x?b?=",
		"=?utf-8?q?b":   "=?utf-8?q?b",
		"=?utf-8?q??=":  "",
	} {
		if got := DecodeWords(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func FuzzDecodeWords(f *testing.F) {
	f.Add("=?utf-8?q?a?= =?x?b?YQ?=")
	f.Add("=?a*b?Q?=zz_?")
	f.Fuzz(func(t *testing.T, s string) {
		if got := DecodeWords(s); len(got) > 4*len(s) || !strings.Contains(s, "=?") && got != s {
			t.Errorf("%q: %q", s, got)
		}
	})
}

func TestDecodeUTF7(t *testing.T) {
	for s, want := range map[string]string{
		"":                "",
		"a.exe":           "a.exe",
		"a+AC4-exe":       "a.exe",
		"a+AC4.exe":       "a..exe",
		"1 +- 1 = 2":      "1 + 1 = 2",
		"A+ImIDkQ.":       "A\u2262\u0391.", // RFC 2152
		"Hi Mom -+Jjo--!": "Hi Mom -\u263a-!",
		"+ZeVnLIqe-":      "\u65e5\u672c\u8a9e",
		"+2D3eAA-":        "\U0001f600",
		"a+":              "a+",
		"+A-b":            "b",
		"+AGU-x+AGU-":     "exe",
		"=+AC":            "=",
	} {
		if got := decodeUTF7(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func FuzzDecodeUTF7(f *testing.F) {
	f.Add("a+AC4-exe+")
	f.Fuzz(func(t *testing.T, s string) {
		got := decodeUTF7(s)
		if len(got) > 3*len(s) || !strings.Contains(s, "+") && got != s {
			t.Errorf("%q: %q", s, got)
		}
	})
}

func TestASCIIBased(t *testing.T) {
	for charset, want := range map[string]bool{
		"utf-8": true, "us-ascii": true, "": true, "iso-8859-1": true, "windows-1252": true, "x-unknown": true, "cp850": true, "cp1252": true,
		"ibm437": true, "gb2312": true, "big5": true, "koi8-r": true, "x-mac-roman": true, "cp1250": true,
		"utf-16": false, "UTF-16LE": false, "utf_32": false, "utf7": false, "iso-10646-ucs-2": false, "csUnicode": false, "iso-2022-jp": false,
		"hz-gb-2312": false, "IBM037": false, "cp037": false, "cp1047": false, "ibm-1047": false, "EBCDIC-CP-US": false, "ibm01140": false, "rot13": false,
	} {
		if ASCIIBased(charset) != want {
			t.Errorf("%s: ASCIIBased is not %v", charset, want)
		}
	}
}
