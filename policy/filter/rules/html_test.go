package rules

import (
	"strings"
	"testing"
	"time"
)

// The text is inserted at "|". Without "|", there is no place for it.
func TestPlaceInHTML(t *testing.T) {
	for _, c := range []string{
		"<p>hello|",
		"|",
		"plain text|",
		"<html><body>x|</body></html>",
		"<html><BODY>x|</BODY ></html>\r\n",
		"<body>x</body><body>y|</body>",
		"<body>x|</body>after",
		// comments
		"<body>x|</body><!-- </body> -->",
		"<body>x<!-- </body> -->y|",
		"<p>x<!-- open </body>",
		"<body>x|</body><!-- open ",
		"<!--[if mso]></body><![endif]-->x|",
		"<!--[if !mso]><!-->x|</body><!--<![endif]-->",
		"<![if !mso]>x<![endif]>|",
		"<!--> </body> -->",
		"<!---> </body> -->",
		"<!-- a --!> </body>",
		"<body>x|</body><!-- a --!> </body>",
		"<?xml version=\"1.0\"?>x|",
		"<!DOCTYPE html><p>x|",
		"<![CDATA[ a > </body> ]]>",
		"<![CDATA[ a ]]>x|",
		// what is not shown
		"<script>var a = '</body>'</script>x|",
		"<script>var a = '</body>'",
		"<script><!-- <script> </script> </body>",
		"<style><!-- p {} --></style>x|</body>",
		"<style><!-- p {} </style>x</body>-->",
		"<style> p {} ",
		"<title></body></title>x|",
		"<title>x",
		"<textarea></body></textarea>x|</body>",
		"<xmp></body></xmp><iframe></body></iframe>x|",
		"<noscript><!--</noscript></body>-->",
		"<template></body></template>x|",
		"<template>x</body>",
		"<svg><desc></body></desc></svg>x|",
		"<svg/>x|",
		"<script/></body>",
		"<select><option></body></select>|",
		"<object></body></object>|</body>",
		"</select>x|",
		"<plaintext></body>",
		// tags and their attributes
		"<a title=\"</body>\">x</a>|",
		"<a title='</body>'>x|</body>",
		"<a title=\"</body>x",
		"<p>x<a href=",
		"<p>x</bod",
		"<p>1 < 2|",
		"<bodyguard></bodyguard>x|",
		"</body",
		"<body>x|</body foo='>'>",
	} {
		text := strings.Replace(c, "|", "", 1)
		at, ok := placeInHTML([]byte(text))
		got := text
		if ok {
			got = text[:at] + "|" + text[at:]
		}
		if got != c {
			t.Errorf("got  %q\nwant %q", got, c)
		}
	}
}

func TestDecodeQP(t *testing.T) {
	for raw, want := range map[string]string{
		"":                  "",
		"abc":               "abc",
		"=3Cbody=3e":        "<body>",
		"a=\r\nb":           "ab",
		"a= \t\r\nb":        "ab",
		"a=\nb":             "ab",
		"a=":                "a",
		"a \t\r\n b":        "a\r\n b",
		"a  ":               "a",
		"=4":                "=4",
		"=zz=":              "=zz",
		"\r=\r":             "\r=\r",
		"</bo=\r\ndy>":      "</body>",
		"tail =20\r\n=20 x": "tail  \r\n  x",
	} {
		got, at := decodeQP([]byte(raw), len(raw))
		if string(got) != want || at != len(raw) {
			t.Errorf("%q: %q, %d, want %q", raw, got, at, want)
		}
		for n := range len(want) {
			head, at := decodeQP([]byte(raw), n)
			rest, _ := decodeQP([]byte(raw)[at:], len(raw))
			if string(head) != want[:n] || !strings.HasSuffix(string(rest), strings.TrimLeft(want[n:], " \t")) {
				t.Errorf("%q: %d octets are %q, the rest %q", raw, n, head, rest)
			}
		}
	}
}

// HTML of 16 times the size takes about 16 times as long. Quadratic work would
// take 256 times as long.
func TestPlaceInHTMLIsLinear(t *testing.T) {
	for _, unit := range []string{"<", "<a ", "<svg>", "</select><select>", "<!--", "<!-- -->", "<a b=\"", "<script><!--", "<title>", "&", "<![CDATA[", "</body>", "<p a=1 b=2 c=3>x"} {
		measure := func(n int) time.Duration {
			text := []byte(strings.Repeat(unit, n/len(unit)))
			best := time.Hour
			for range 3 {
				began := time.Now()
				placeInHTML(text)
				best = min(best, time.Since(began))
			}
			return best
		}
		linear := false
		for try := 0; try < 4 && !linear; try++ { // the machine may be busy
			linear = measure(512<<10) < 100*max(measure(32<<10), 100*time.Microsecond)
		}
		if !linear {
			t.Errorf("%q: 32 KiB take %v, 512 KiB %v", unit, measure(32<<10), measure(512<<10))
		}
	}
}
