package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestInert(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain text <a@b>", "plain text <a@b>"},
		{"Grüße, 世界", "Grüße, 世界"},
		{"\x1b[2Jx", `\x1B[2Jx`},
		{"a\r\nb\tc\x00\x7f", `a\x0D\x0Ab\x09c\x00\x7F`},
		{"\u202egpj.exe", `\u202Egpj.exe`},
		{"a\u009bb", `a\u009Bb`}, // CSI in C1
		{"a\u2028b\u200bc\ufeff", `a\u2028b\u200Bc\uFEFF`},
		{"\U000e0041", `\U000E0041`},
		{"8-bit \xe9\xff", `8-bit \xE9\xFF`},
		{"e\u0301", "e\u0301"},
		{"e" + strings.Repeat("\u0301", 5), "e" + strings.Repeat("\u0301", 4) + `\u0301`},
	} {
		if got := inert(c.in); got != c.want {
			t.Errorf("inert(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestInertJSON(t *testing.T) {
	for _, text := range []string{
		"plain", "Grüße, 世界", "\x1b[2J\r\n\t\x00", "\u202egpj.exe", "a\u009bb\x7f", "\U000e0041\U0001f600", `a "quoted" \ text`,
	} {
		doc, err := json.Marshal(map[string]any{"text": text, "n": 1})
		if err != nil {
			t.Fatal(err)
		}
		got := inertJSON(doc)
		if inert(got) != got {
			t.Errorf("inertJSON(%q) = %q can control a terminal", doc, got)
		}
		var back map[string]any
		if err := json.Unmarshal([]byte(got), &back); err != nil || back["text"] != text {
			t.Errorf("inertJSON(%q) = %q, which is %q, %v", doc, got, back["text"], err)
		}
	}
}

// A text is inert after one pass, and a document keeps its meaning.
func FuzzInert(f *testing.F) {
	for _, s := range []string{"", "text", "\x1b[2J", "\u202e\u009b", "\xff\xfe", `{"a":"\u202e"}`, "[1,\n2]", "\"\u2028\U000e0041\"", "e\u0301\u0301\u0301\u0301\u0301\u0301"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out := inert(string(in))
		if !utf8.ValidString(out) || inert(out) != out {
			t.Errorf("inert(%q) = %q", in, out)
		}
		for _, r := range out {
			if !unicode.IsPrint(r) {
				t.Errorf("inert(%q) = %q has %U", in, out, r)
			}
		}
		var before, after any
		if json.Unmarshal(in, &before) != nil {
			return
		}
		doc := inertJSON(bytes.ToValidUTF8(in, []byte("\ufffd")))
		if err := json.Unmarshal([]byte(doc), &after); err != nil {
			t.Fatalf("inertJSON(%q) = %q: %v", in, doc, err)
		}
		if utf8.Valid(in) && !reflect.DeepEqual(before, after) {
			t.Errorf("inertJSON(%q) = %q", in, doc)
		}
	})
}

func TestTable(t *testing.T) {
	tab := newTable("NAME", ">N", "TEXT")
	tab.add("世界", "7", "x")
	tab.add("plain", "1234", "")
	tab.add("e\u0301", "", "a\nb"+strings.Repeat("x", 2*maxCell))
	var b strings.Builder
	if err := tab.write(&b); err != nil {
		t.Fatal(err)
	}
	want := "NAME      N  TEXT\n世界      7  x\nplain  1234  -\ne\u0301         -  a\\x0Ab" + strings.Repeat("x", maxCell-7) + "…\n"
	if b.String() != want {
		t.Errorf("the table is\n%q, want\n%q", b.String(), want)
	}
}
