package header_test

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

func FuzzAddresses(f *testing.F) {
	for _, s := range []string{`"a" <b@c>, g: d@e;`, `(x(y)z) "q\"@"@w`, "a . b @ c(d).e", "<@a,@b:c@[1.2.3.4]>", "a@b <c@d> e@f", "=?u?q?a@b?= <c@d", "a@b.c. d@e..f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		list, err := header.Addresses(value)
		at := 0
		for _, a := range list {
			if a.Start < at || a.End <= a.Start || a.End > len(value) {
				t.Fatalf("%q: %+v after %d", value, a, at)
			}
			at = a.End
			// An address alone is parsed as itself.
			again, e := header.Addresses("<" + a.Addr + ">")
			if len(again) != 1 || e != nil || again[0].Addr != a.Addr {
				t.Fatalf("%q: %q, which alone is %v, %v", value, a.Addr, again, e)
			}
			if alone, _ := header.Addresses(value[a.Start:a.End]); len(alone) != 1 || alone[0].Addr != a.Addr {
				t.Fatalf("%q: %q is at %q, which is %v", value, a.Addr, value[a.Start:a.End], alone)
			}
		}
		folded, e := header.Addresses(strings.ReplaceAll(value, " ", "\r\n "))
		if !strings.ContainsAny(value, `"\(`) && (len(folded) != len(list) || (e == nil) != (err == nil)) {
			t.Fatalf("%q: %v (%v), folded %v (%v)", value, list, err, folded, e)
		}
		if d, err := header.AuthorDomain([]string{value}); (err == nil) != (d != "") || strings.ContainsAny(d, " <>@,;\r\n") {
			t.Fatalf("%q: %q, %v", value, d, err)
		}
	})
}

// The fields of a section together are the section. Check accepts a section that
// has only fields.
func FuzzField(f *testing.F) {
	for _, s := range []string{"A: b\r\n c\r\nD :\te\r\n", "A\r\n : b\r\n", ": a\r\n", " a\r\nB: c", "A: b\n\tc\nD:\n", "A: b\rC: d\r\n", "\r\n", "A:\r\n\r\nB: c\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, section string) {
		var joined strings.Builder
		valid := header.Check(section) == nil
		for fl := range header.All([]byte(section)) {
			joined.Write(fl)
			before, value := fl.Cut()
			switch name := fl.Name(); {
			case before+value != string(fl):
				t.Fatalf("%q: Cut: %q, %q", fl, before, value)
			case name == "" && valid:
				t.Fatalf("%q passes with %q", section, fl)
			case name != "" && (header.CheckName(name) != nil || !fl.Is(name) || !fl.Is(strings.ToLower(name)) || !header.StartsField(fl)):
				t.Fatalf("%q: the name %q", fl, name)
			case strings.ContainsAny(fl.Value(), "\n") || header.Unfold(fl.Value()) != fl.Value():
				t.Fatalf("%q: the value %q", fl, fl.Value())
			}
		}
		if joined.String() != section {
			t.Fatalf("%q: the fields are %q", section, joined.String())
		}
		if ins := repaired(t, section+"\r\nbody"); valid && ins != section+"\r\nbody" {
			t.Fatalf("%q passes, but ends as a header in %q", section, ins)
		}
		whole := header.Of([]byte(section), false)
		if cut := header.Of([]byte(section), true); !strings.HasPrefix(string(whole), string(cut)) {
			t.Fatalf("%q: cut off, its fields are %q, else %q", section, cut, whole)
		}
	})
}

// The end of a comment or quoted string does not depend on the text after it.
func FuzzComment(f *testing.F) {
	for _, s := range []string{"(a (b) \\) c) d", "(((", "(\\", `"a \" b" c`, `"`, `"\`, "\"a\r\n b\"", "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, length := range map[string]func(string) int{"comment": header.Comment, "quoted string": header.Quoted} {
			n := length(s)
			switch {
			case n == 0 || n < 0 && n == -1:
			case n < 2 || n > len(s):
				t.Fatalf("%q: a %s of %d", s, name, n)
			case length(s[:n]) != n || length(s[:n]+")\"(") != n || length(s[:n-1]) > 0:
				t.Fatalf("%q: the %s %q", s, name, s[:n])
			}
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		if header.Quoted(quoted) != len(quoted) || header.Unquote(quoted) != header.Unfold(s) {
			t.Fatalf("%q, quoted %q: %d, %q", s, quoted, header.Quoted(quoted), header.Unquote(quoted))
		}
	})
}
