package addr

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func ExampleSafeHelo() {
	for _, name := range []string{"client.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "my printer", "(none)", `DOM\pc`, "Jürgen-PC"} {
		fmt.Println(SafeHelo(name))
	}
	// Output:
	// client.example
	// [192.0.2.1]
	// [IPv6:2001:db8::1]
	// my%20printer
	// %28none%29
	// DOM%5Cpc
	// J%C3%BCrgen-PC
}

func TestSafeHelo(t *testing.T) {
	for name, want := range map[string]string{
		"":                              "",
		"WIN_2003$":                     "WIN_2003$",
		"a%20b":                         "a%2520b",
		"[not a literal]":               "%5Bnot%20a%20literal%5D",
		"x\r\nReceived: from":           "x%0D%0AReceived:%20from",
		"=1+1":                          "%3D1%2B1",
		"\u202emoc":                     "%E2%80%AEmoc",
		"J\xfcrgen":                     "J%FCrgen",
		strings.Repeat("a", 255):        strings.Repeat("a", 255),
		strings.Repeat("a", 300):        strings.Repeat("a", 255),
		strings.Repeat(" ", 200):        strings.Repeat("%20", 85),
		strings.Repeat("a", 253) + " b": strings.Repeat("a", 253), // the escape does not fit and is omitted completely, with the text after it
	} {
		if got := SafeHelo(name); got != want {
			t.Errorf("SafeHelo(%q) = %q, want %q", name, got, want)
		}
	}
}

// The result is bounded. TestDoubling measures the time.
func TestSafeHeloIsBounded(t *testing.T) {
	if got := SafeHelo(strings.Repeat("ü", 4<<20)); len(got) != maxHelo {
		t.Errorf("%d octets", len(got))
	}
}

// The safe form has no special characters. Unescaped, it is the name. The safe form
// of a host name is the host name.
func FuzzSafeHelo(f *testing.F) {
	for _, s := range []string{"", "client.example", "[192.0.2.1]", "my printer", "a%", "\x00\r\n", strings.Repeat("()", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := SafeHelo(name)
		if len(got) > maxHelo || strings.ContainsAny(got, " \t\r\n()<>@,;\"\\+=") {
			t.Errorf("SafeHelo(%q) = %q", name, got)
		}
		for i := range len(got) {
			if got[i] <= ' ' || got[i] > '~' {
				t.Errorf("SafeHelo(%q) = %q", name, got)
			}
		}
		back := got
		if !isBracketed(name) {
			var err error
			if back, err = url.PathUnescape(got); err != nil {
				t.Fatalf("SafeHelo(%q) = %q: %v", name, got, err)
			}
		}
		if !strings.HasPrefix(name, back) || len(got) < maxHelo-2 && back != name {
			t.Errorf("SafeHelo(%q) = %q, which unescapes to %q", name, got, back)
		}
	})
}
