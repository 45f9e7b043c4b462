package logfile

import (
	"bytes"
	"encoding/csv"
	"runtime"
	"strings"
	"testing"
	"unicode"
)

func TestCell(t *testing.T) {
	for _, test := range []struct{ value, cell string }{
		{"", ""},
		{"bob@example.net", "bob@example.net"},
		{"250 2.0.0 Ok", "250 2.0.0 Ok"},
		{"Lunch, perhaps", `"Lunch, perhaps"`},
		{`"Lunch"`, `"""Lunch"""`},
		{" blank", `" blank"`},
		{"two\r\nlines", `"two\x0D\x0Alines"`},
		{"\x00\x7f\xff", `"\x00\x7F\xFF"`},
		{`DOM\user`, `"DOM\\user"`},
		{`\u202E`, `"\\u202E"`},
		{"\u009b31mRED", `"\u009B31mRED"`},
		{"a\u2028b\u2029", `"a\u2028b\u2029"`},
		{"\u202etxt.exe\u2066", `"\u202Etxt.exe\u2066"`},
		{"\ufeff\u200e", `"\uFEFF\u200E"`},
		{"\U000e0041", `"\U000E0041"`},
		{"Grüße, 用户 😀", `"Grüße, 用户 😀"`},
		{"=cmd|' /C calc'!A0", `"'=cmd|' /C calc'!A0"`},
		{"+1", `"'+1"`},
		{"-1", `"'-1"`},
		{"@SUM(1)", `"'@SUM(1)"`},
		{"＝1", `"'＝1"`},
		{"'quoted'", `"''quoted'"`},
		{"\t=1", `"\x09=1"`},
		{"a=1", "a=1"},
		{strings.Repeat("x", 101), `"` + strings.Repeat("x", 100) + `..."`},
		{strings.Repeat("x", 99) + "ö", `"` + strings.Repeat("x", 99) + `..."`},
		{strings.Repeat("\x80", 200), `"` + strings.Repeat(`\x80`, 100) + `..."`},
	} {
		got := string(AppendCell(nil, test.value, 100))
		if got != test.cell {
			t.Errorf("%.40q: %s, want %s", test.value, got, test.cell)
		}
	}
	for _, s := range []string{`\`, `a\`, `\q`, `\x`, `\xZZ`, `\u12`, `\uD800`, `\U00110000`, `\UFFFFFFFF`, `\x+1`, "'x"} {
		if got := Cell(s); got != s {
			t.Errorf("%q is read as %q", s, got)
		}
	}
}

// Twice the text takes about twice the memory, for writing and reading together.
func TestCellIsLinear(t *testing.T) {
	for _, s := range []string{"x", `\`, `\x41`, "\u202e", "\x80", `"`} {
		allocated := func(n int) uint64 {
			text := strings.Repeat(s, n)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			Cell(string(AppendCell(nil, text, len(text))))
			Cell(text)
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc
		}
		if once, twice := allocated(50000), allocated(100000); float64(twice) > 2.7*float64(once) {
			t.Errorf("%q: %d bytes once, %d for twice as much", s, once, twice)
		}
	}
}

// Any text is one cell of one line. It cannot affect a program that shows it, and
// Cell returns it unchanged.
func FuzzCell(f *testing.F) {
	for _, s := range []string{"", "bob@example.net", "Lunch, perhaps", `"Lunch"`, " x", "\u2003x", `\.`, `\x41`, "two\r\nlines",
		"\x00\x7f\u0085\u2028\u202e", "=1", "''", "\xff\xfe", "\ttab", strings.Repeat("ä", 500)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := AppendCell(nil, s, 1000)
		for _, r := range string(line) {
			if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
				t.Fatalf("%q: %q in %q", s, r, line)
			}
		}
		cells, err := csv.NewReader(bytes.NewReader(append(append([]byte("x,"), line...), ",y\n"...))).Read()
		if err != nil || len(cells) != 3 || cells[0] != "x" || cells[2] != "y" {
			t.Fatalf("%q: %q, %v", s, cells, err)
		}
		if cells[1] != "" && strings.ContainsAny(cells[1][:1], "=+-@\t\r") {
			t.Fatalf("%q: %q begins as a formula", s, cells[1])
		}
		if got := Cell(cells[1]); got != s && len(s) <= 1000 {
			t.Fatalf("%q reads back as %q", s, got)
		}
	})
}

// A byte that is not plain is found wherever it is in a cell, and nothing else is.
func TestPlainBytes(t *testing.T) {
	for n := 1; n <= 17; n++ {
		for at := range n {
			for c := range 256 {
				for _, fill := range []byte("x z!~") {
					b := bytes.Repeat([]byte{fill}, n)
					b[0], b[at] = 'a', byte(c)
					want := plain[c] && (at > 0 || c != ' ' && !isFormula(string(b[:1])))
					if got := isPlain(string(b)); got != want {
						t.Fatalf("%q: %v, want %v", b, got, want)
					}
				}
			}
		}
	}
}
