package addr

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

func TestDomain(t *testing.T) {
	label63, label64 := strings.Repeat("a", 63), strings.Repeat("a", 64)
	name253 := strings.Repeat(label63+".", 3) + strings.Repeat("b", 61)
	for _, tt := range []struct{ in, want string }{
		{"example.org", "example.org"},
		{"EXAMPLE.org.", "example.org"},
		{"_dmarc.Example.org", "_dmarc.example.org"},
		{"localhost", "localhost"},

		// ASCII names that UTS 46 refuses and that occur in the DNS.
		{"PR--7.example", "pr--7.example"},
		{"r3---sn-x.example", "r3---sn-x.example"},
		{"xn--a.example", "xn--a.example"},
		{"XN--99ZZZZ.example", "xn--99zzzz.example"},
		{"-a-.example", "-a-.example"},
		{label63 + ".example", label63 + ".example"},
		{name253, name253},
		{name253 + ".", name253},

		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"bu\u0308cher.example", "xn--bcher-kva.example"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"bücher。example。", "xn--bcher-kva.example"},
		{"example。org。", "example.org"},
		{"ｅｘａｍｐｌｅ．ｏｒｇ", "example.org"},
		{"straße.example", "xn--strae-oqa.example"},
		{"r3---sn-x.bücher.example", "r3---sn-x.xn--bcher-kva.example"},
		{"_ü.example", "xn--_-eha.example"},

		{"[192.0.2.1]", "[192.0.2.1]"},
		{"[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"},
		{"[ipv6:2001:0db8:0:0:0:0:0:1]", "[ipv6:2001:db8::1]"},
		{"[IPv6:::ffff:192.0.2.1]", "[192.0.2.1]"},
		{"[IPv6:::ffff:c000:201]", "[192.0.2.1]"},

		{"", "-"},
		{".", "-"},
		{"。", "-"},
		{".example", "-"},
		{"a..example", "-"},
		{"example.org..", "-"},
		{"example.org。.", "-"},
		{"a b.example", "-"},
		{"a@b.example", "-"},
		{"*.example", "-"},
		{"a\x00.example", "-"},
		{"a>.bücher.example", "-"},
		{label64 + ".example", "-"},
		{name253 + "b", "-"},
		{"other.example\uff1e\u3000orcpt\uff1drfc822\uff1bx.example", "-"},
		{"a\uff1db.example", "-"},
		{"a\uff1d\u0338b.example", "-"}, // "=" and U+0338 compose to "≠"
		{"a≯b.example", "-"},
		{"a\u2024b.example", "-"}, // U+2024 is mapped to a dot
		{"\u00ad.example", "-"},   // U+00AD is mapped to nothing
		{"xn--\u00fc.example", "-"},
		{"\uff58n--a.example", "-"}, // "ｘn--a": mapped to an A-label that does not decode
		{"\xa5.example", "-"},
		{"[192.0.2.1", "-"},
		{"[192.0.2.1].", "-"},
		{"[IPv6:fe80::1%eth0]", "-"},
		{"[x>y]", "-"},
		{"[]", "-"},
	} {
		got, err := Domain(tt.in)
		if tt.want == "-" {
			if err == nil {
				t.Errorf("Domain(%q) = %q; want an error", tt.in, got)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("Domain(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

// Domain refuses every character that IDNA maps to text that is not a host name.
// An accepted domain is its own canonical form. Planes 2 to 13 have only
// ideographs, so the test tries a few of them.
func TestDomainEveryCharacter(t *testing.T) {
	refused := 0
	for r := rune(utf8.RuneSelf); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) || r>>16 >= 2 && r>>16 <= 13 && r&0xff != 0 {
			continue
		}
		in := "a" + string(r) + "b.example"
		got, err := Domain(in)
		if err != nil {
			if mapped, err := toASCII.ToASCII(in); err == nil && isHostName(mapped) && strings.Count(mapped, ".") == 1 && !strings.ContainsRune("≠≮≯", r) {
				t.Errorf("%U: %q is refused, and IDNA maps it to %q", r, in, mapped)
			}
			refused++
			continue
		}
		if !isHostName(got) {
			t.Errorf("Domain(%q) = %q", in, got)
		}
		if again, err := Domain(got); err != nil || again != got {
			t.Errorf("Domain(%q) = %q, and again %q, %v", in, got, again, err)
		}
	}
	if refused == 0 {
		t.Error("no character is refused")
	}
}

func isHostName(s string) bool {
	for i := range len(s) {
		if !ldh(s[i]) && s[i] != '.' || 'A' <= s[i] && s[i] <= 'Z' {
			return false
		}
	}
	return s != "" && len(s) <= MaxDomain
}

// A From field may be as long as a header, and the time of Punycode is quadratic in
// the length of a label.
func TestLongDomain(t *testing.T) {
	var b strings.Builder
	for i := range 85_000 {
		b.WriteRune(rune(0x4e00 + i%20_000))
	}
	if _, err := Domain(b.String() + ".example"); !errors.Is(err, errLong) {
		t.Errorf("%v", err)
	}
	if d, err := Domain(strings.Repeat("ü.", 30) + "example"); err != nil || len(d) > MaxDomain {
		t.Errorf("%q, %v", d, err)
	}
}

func TestHostName(t *testing.T) {
	if got, err := HostName("Mail.Example.org."); err != nil || got != "mail.example.org" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "[192.0.2.1]", "[IPv6:::1]", "a b"} {
		if got, err := HostName(bad); err == nil {
			t.Errorf("HostName(%q) = %q; want an error", bad, got)
		}
	}
}

// A canonical domain is a literal or has only characters of a host name. It is its
// own canonical form. It is valid in an address.
func FuzzDomain(f *testing.F) {
	for _, s := range []string{
		"example.org", "EXAMPLE.org.", "bücher。example", "r3---sn-x.bücher.example", "xn--a.example", "_x.example",
		"[IPv6:::ffff:192.0.2.1]", "[192.0.2.1]", "x\uff1e\u3000y.example", "a\uff1d\u0338b", "a\u2024b", "\u00ad", "-a-",
		strings.Repeat("a", 64), strings.Repeat("ü", 40), "a..b", "\xa5", "٠١.example",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Domain(s)
		if err != nil {
			return
		}
		if !isHostName(c) {
			if ip, err := ParseLiteral(c); err != nil || literal(ip) != c {
				t.Fatalf("Domain(%q) = %q", s, c)
			}
		}
		for label := range strings.SplitSeq(c, ".") {
			if c[0] != '[' && (label == "" || len(label) > maxLabel) {
				t.Fatalf("Domain(%q) = %q has the label %q", s, c, label)
			}
		}
		if again, err := Domain(c); err != nil || again != c {
			t.Fatalf("Domain(%q) = %q, and again %q, %v", s, c, again, err)
		}
		if err := Mailbox("x@"+c, false); err != nil && len(c)+2 <= MaxPath {
			t.Fatalf("Domain(%q) = %q is not a domain of an address: %v", s, c, err)
		}
		if u := ToUnicode("x@" + s); FoldDomain(strings.TrimPrefix(u, "x@")) != c || !strings.HasPrefix(c, "[") && NotOnWire(u) != "" && len(u) <= maxWire && !strings.HasSuffix(s, "。") {
			t.Fatalf("%q in a session with SMTPUTF8: %q", s, u)
		}
		// If strict IDNA accepts the domain, its result is the same. (IDNA maps
		// the A-label "xn--" to nothing; Domain does not change ASCII labels.)
		if a, err := idna.Lookup.ToASCII(s); err == nil && !strings.Contains(Lower(s), "xn--") && !strings.HasPrefix(c, "[") && strings.TrimSuffix(a, ".") != c {
			t.Fatalf("Domain(%q) = %q, and IDNA has %q", s, c, a)
		}
	})
}
