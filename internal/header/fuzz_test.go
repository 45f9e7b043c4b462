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
			// An address alone is read as itself.
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
