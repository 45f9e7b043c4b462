package header_test

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

func TestField(t *testing.T) {
	for raw, want := range map[string]struct{ name, value string }{
		"Subject: s\r\n":                 {"Subject", "s"},
		"Subject:s\n":                    {"Subject", "s"},
		"Subject \t:  s \t\r\n":          {"Subject", "s"},
		"Subject:\r\n s\r\n\tt\r\n \r\n": {"Subject", "s\tt"},
		"Subject: a\n b\n":               {"Subject", "a b"},
		"X:":                             {"X", ""},
		"A!~: b: c\r\n":                  {"A!~", "b: c"},
		"no field\r\n":                   {},
		": x\r\n":                        {},
		" X: y\r\n":                      {},
		"X Y: z\r\n":                     {},
		"From\r\n : x\r\n":               {},
		"X\xc3\xa9: z\r\n":               {},
		"":                               {},
		strings.Repeat("x", 998) + ": z": {},
		strings.Repeat("x", 997) + ": z": {strings.Repeat("x", 997), "z"},
	} {
		f := header.Field(raw)
		if f.Name() != want.name || f.Value() != want.value {
			t.Errorf("%.60q: %.60q, %q", raw, f.Name(), f.Value())
		}
		if want.name != "" && !f.Is(strings.ToUpper(want.name)) || f.Is(want.name+"x") || f.Is("") {
			t.Errorf("%.60q: Is", raw)
		}
		if before, value := f.Cut(); before+value != raw || (want.name != "") != strings.HasSuffix(before, ":") {
			t.Errorf("%.60q: Cut: %.60q, %q", raw, before, value)
		}
	}
}

func TestAll(t *testing.T) {
	const section = "A: 1\r\n 2\r\njunk\r\nB: 3\n\t4\n5"
	var got []string
	for f := range header.All([]byte(section)) {
		got = append(got, string(f))
	}
	if s := strings.Join(got, "|"); s != "A: 1\r\n 2\r\n|junk\r\n|B: 3\n\t4\n|5" {
		t.Errorf("%q", s)
	}
	for name, want := range map[string]string{"a": "1 2", "B": "3\t4", "c": "", "junk": ""} {
		if v := header.Get([]byte(section), name); v != want {
			t.Errorf("%s: %q", name, v)
		}
	}
}

func TestCheck(t *testing.T) {
	for raw, ok := range map[string]bool{
		"": true, "A: b\r\n": true, "A : b\r\n c\r\nD:\r\n": true,
		"A: b": false, "A: b\n": false, "\n": false, "\r\n": false, " a\r\n": false, "A: b\r\n\r\n": false, "A: b\r\nno field\r\n": false,
		"A: b\rB: c\r\n": false, "A: b\x00\r\n": false, "A: b\r\n\r\nB: c\r\n": false, "A\r\n : b\r\n": false, "A: b\r\r\n": false,
	} {
		if err := header.Check(raw); (err == nil) != ok {
			t.Errorf("%q: %v", raw, err)
		}
	}
	for name, ok := range map[string]bool{"Subject": true, "X-A!": true, "": false, "a b": false, "a:": false, "ü": false, "a\n": false, strings.Repeat("x", 998): false} {
		if err := header.CheckName(name); (err == nil) != ok {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

func TestCommentAndQuoted(t *testing.T) {
	for s, want := range map[string]int{"": 0, "x(y)": 0, "(a)b": 3, "(a(b)c)d": 7, `(a\)b)c`: 6, `("))`: 3, "(a": -1, "((a)": -1, `(a\`: -1} {
		if n := header.Comment(s); n != want {
			t.Errorf("Comment(%q) = %d", s, n)
		}
	}
	for s, want := range map[string]int{"": 0, `x"y"`: 0, `"a"b`: 3, `"a\"b"c`: 6, `""`: 2, `"a`: -1, `"a\"`: -1} {
		if n := header.Quoted(s); n != want {
			t.Errorf("Quoted(%q) = %d", s, n)
		}
	}
	for s, want := range map[string]string{`"a b"`: "a b", `"a\"\\b"`: `a"\b`, "\"a\r\n b\"": "a b", `""`: ""} {
		if got := header.Unquote(s); got != want {
			t.Errorf("Unquote(%q) = %q", s, got)
		}
	}
}
