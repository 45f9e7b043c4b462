package addr

import (
	"errors"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, tt := range []struct{ address, local, domain string }{
		{"user@example.org", "user", "example.org"},
		{`"a@b"@example.org`, `"a@b"`, "example.org"},
		{`"a@b"`, `"a@b"`, ""},
		{"postmaster", "postmaster", ""},
		{"", "", ""},
		{"user@[192.0.2.1]", "user", "[192.0.2.1]"},
	} {
		if l, d := Split(tt.address); l != tt.local || d != tt.domain {
			t.Errorf("Split(%q) = %q, %q; want %q, %q", tt.address, l, d, tt.local, tt.domain)
		}
	}
}

func TestDomain(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"example.org", "example.org"},
		{"EXAMPLE.org.", "example.org"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"bücher。example。", "xn--bcher-kva.example"},
		{"example。org。", "example.org"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"_dmarc.example.org", "_dmarc.example.org"},
		{"[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"},
		{"[ipv6:2001:0db8:0:0:0:0:0:1]", "[ipv6:2001:db8::1]"},
		{"[IPv6:fe80::1%eth0]", "[ipv6:fe80::1%eth0]"}, // not a literal: left as it is
		{"[192.0.2.1]", "[192.0.2.1]"},
		{"", ""},
	} {
		got, err := Domain(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("Domain(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
	for _, broken := range []string{"xn--\u00fc.example", "\xa5.example"} {
		if got, err := Domain(broken); err == nil {
			t.Errorf("Domain(%q) = %q, no error", broken, got)
		}
	}
}

// A From field may be as long as a header, and Punycode takes time with the
// square of a label's length: 256 KiB took a minute.
func TestLongDomain(t *testing.T) {
	var b strings.Builder
	for i := range 85_000 {
		b.WriteRune(rune(0x4e00 + i%20_000))
	}
	if _, err := Domain(b.String() + ".example"); !errors.Is(err, errLong) {
		t.Errorf("%v", err)
	}
	if d, err := Domain(strings.Repeat("ü.", 30) + "example"); err != nil || len(d) > 255 {
		t.Errorf("%q, %v", d, err)
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"a@Example.ORG", "a@example.org", true},
		{"A@example.org", "a@example.org", false},
		{"a@bücher.example", "a@XN--BCHER-KVA.example", true},
		{"a@example.org", "a@example.net", false},
	} {
		if got := Equal(tt.a, tt.b); got != tt.want {
			t.Errorf("Equal(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}
