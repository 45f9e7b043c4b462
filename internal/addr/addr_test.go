package addr

import (
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

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"a@Example.ORG", "a@example.org", true},
		{"A@example.org", "a@example.org", false},
		{"a@bücher.example", "a@XN--BCHER-KVA.example", true},
		{"a@example.org", "a@example.net", false},
		{"a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8:0::1]", true},
		{"a@r3---sn-x.example", "a@R3---SN-X.example", true},
		{"a@xn--\u212a.example", "a@xn--k.example", false}, // U+212A is no k: IDNA refuses the label
	} {
		if got := Equal(tt.a, tt.b); got != tt.want {
			t.Errorf("Equal(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}
