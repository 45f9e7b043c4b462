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
		{"a@xn--\u212a.example", "a@xn--k.example", false}, // U+212A is not k: IDNA refuses the label
	} {
		if got := Equal(tt.a, tt.b); got != tt.want {
			t.Errorf("Equal(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}

func TestEqualFold(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"Alice@example.org", "alice@EXAMPLE.org", true},
		{"JÖRG@bücher.example", "jörg@xn--bcher-kva.example", true},
		{"bok@example.org", "bo\u212a@example.org", false},
		{"alice@example.org", "alice@example.net", false},
		{"", "", true},
		{"", "alice@example.org", false},
	} {
		if got := EqualFold(tt.a, tt.b); got != tt.want {
			t.Errorf("EqualFold(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}

func TestFoldLocal(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "alice": "alice", "ALICE+X": "alice+x", "JÖRG": "jörg", "ΣΑΣ": "σασ",
		"bo\u212a": "bo\u212a", "\u0130": "\u0130", "po\u017ft": "po\u017ft", // K, İ and ſ, which other functions fold to k, i and s
	} {
		if got := FoldLocal(in); got != want {
			t.Errorf("FoldLocal(%q) = %q, want %q", in, got, want)
		}
	}
}

// A domain without a canonical form is not equal to a valid domain.
func TestFoldDomain(t *testing.T) {
	for in, want := range map[string]string{
		"Example.ORG.": "example.org", "BÜCHER.example": "xn--bcher-kva.example", "[IPv6:::FFFF:192.0.2.1]": "[192.0.2.1]",
		"": "", "A..B": "a..b", "A B": "a b", "xn--\u212a.Example": "xn--\u212a.example",
	} {
		if got := FoldDomain(in); got != want {
			t.Errorf("FoldDomain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestToUnicode(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a@b": "a@b", "jörg@Example.org": "jörg@Example.org", "postmaster": "postmaster",
		"a@bücher.example": "a@bücher.example", "a@BÜCHER。Example": "a@bücher.Example", "a@bu\u0308cher.example.": "a@bücher.example.",
		"jörg@ｅｘａｍｐｌｅ．org": "jörg@example.org", "a@R3---sn-x.Ü.example": "a@R3---sn-x.ü.example", "a@xn--bcher-kva.example": "a@xn--bcher-kva.example",
		"a@x\uff1ey.example": "a@x\uff1ey.example", "a@\xff": "a@\xff",
	} {
		got := ToUnicode(in)
		if got != want {
			t.Errorf("ToUnicode(%q) = %q, want %q", in, got, want)
		}
		if !Equal(in, got) {
			t.Errorf("%q and %q are not equal", in, got)
		}
	}
}

func TestToASCII(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a@b": "a@b", "postmaster": "postmaster", "a@BÜCHER.example": "a@xn--bcher-kva.example", `"a b"@ü.example`: `"a b"@xn--tda.example`,
		"jörg@b.example": "-", "jörg": "-", "a@x\uff1ey.example": "-", "a@\xff": "-",
	} {
		got, ok := ToASCII(in)
		if ok != (want != "-") || ok && got != want {
			t.Errorf("ToASCII(%q) = %q, %v", in, got, ok)
		}
	}
}
