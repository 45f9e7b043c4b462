package addr

import (
	"errors"
	"strings"
	"testing"
)

func TestPath(t *testing.T) {
	long := strings.Repeat("a", 100)
	for _, tt := range []struct {
		in      string
		utf8    bool
		address string // "-" for an error
		rest    string
	}{
		{in: "<>", address: ""},
		{in: "<> SIZE=1", address: "", rest: " SIZE=1"},
		{in: "<user@example.org>", address: "user@example.org"},
		{in: "<user@example.org> BODY=8BITMIME", address: "user@example.org", rest: " BODY=8BITMIME"},
		{in: "user@example.org SIZE=1", address: "user@example.org", rest: " SIZE=1"},
		{in: `<"a b"@example.org>`, address: `"a b"@example.org`},
		{in: `<"a>b@c"@example.org>`, address: `"a>b@c"@example.org`},
		{in: `<"a\"b\\"@example.org>`, address: `"a\"b\\"@example.org`},
		{in: `<""@example.org>`, address: `""@example.org`},
		{in: "<@a.example,@b.example:user@example.org>", address: "user@example.org"},
		{in: "<@[192.0.2.1]:user@example.org>", address: "user@example.org"},
		{in: "<user@[192.0.2.1]>", address: "user@[192.0.2.1]"},
		{in: "<user@[IPv6:2001:db8::1]>", address: "user@[IPv6:2001:db8::1]"},
		{in: "<user@[IPv6:::ffff:192.0.2.1]>", address: "user@[IPv6:::ffff:192.0.2.1]"},
		{in: "<user@host_name.example>", address: "user@host_name.example"},
		{in: "<user@-a-.example>", address: "user@-a-.example"},
		{in: "<user@r3---sn-x.example>", address: "user@r3---sn-x.example"},
		{in: "<user@xn--a.example>", address: "user@xn--a.example"},
		{in: "<user@r3---sn-x.bücher.example>", utf8: true, address: "user@r3---sn-x.bücher.example"},
		{in: "<o'neil+tag=x/y@example.org>", address: "o'neil+tag=x/y@example.org"},
		{in: "<jörg@bücher.example>", utf8: true, address: "jörg@bücher.example"},
		{in: `<"jö rg"@example.org>`, utf8: true, address: `"jö rg"@example.org`},
		{in: "<" + long + "@example.org>", address: long + "@example.org"},

		// Deviations that real clients send.
		{in: "<.user@example.org>", address: ".user@example.org"},
		{in: "<us..er@example.org>", address: "us..er@example.org"},
		{in: "<user.@example.org>", address: "user.@example.org"},
		{in: "<...@example.org>", address: "...@example.org"},
		{in: "< user@example.org >", address: "user@example.org"},
		{in: "<\tuser@example.org\t> SIZE=1", address: "user@example.org", rest: " SIZE=1"},
		{in: "< @a.example:user@example.org >", address: "user@example.org"},
		{in: "< >", address: ""},
		{in: "<user@example.org>\tSIZE=1", address: "user@example.org", rest: "\tSIZE=1"},
		{in: "<>\tSIZE=1", address: "", rest: "\tSIZE=1"},
		{in: "<user@example.org.>", address: "user@example.org"},
		{in: "user@example.org. SIZE=1", address: "user@example.org", rest: " SIZE=1"},
		{in: "<user@bücher。example。>", utf8: true, address: "user@bücher。example"},
		{in: "<user@example.org．> SIZE=1", utf8: true, address: "user@example.org", rest: " SIZE=1"},
		{in: `<"user."@example.org.>`, address: `"user."@example.org`},

		{in: "<jörg@example.org>", address: "-"},
		{in: "<user@bücher.example>", address: "-"},
		{in: "<user\xff@example.org>", utf8: true, address: "-"},
		{in: "<user\u0085@example.org>", utf8: true, address: "-"},
		{in: "", address: "-"},
		{in: "<", address: "-"},
		{in: "<user>", address: "-"},
		{in: "<user@>", address: "-"},
		{in: "<@example.org>", address: "-"},
		{in: "<user@example.org", address: "-"},
		{in: "<user@example.org>SIZE=1", address: "-"},
		{in: "<user@example..org>", address: "-"},
		{in: "<user@example.org..>", address: "-"},
		{in: "<user@example.org.。>", utf8: true, address: "-"},
		{in: "<user@example.org。.>", utf8: true, address: "-"},
		{in: "<user@example.org。>", address: "-"},
		{in: "<user@.>", address: "-"},
		{in: "<user@example.org.x.>x", address: "-"},
		{in: "<user @example.org>", address: "-"},
		{in: "<user@ example.org>", address: "-"},
		{in: "<user@other.example\uff1e\u3000ORCPT\uff1drfc822\uff1bx.example>", utf8: true, address: "-"},
		{in: "<user@[IPv6:::ffff:192.0.2.256]>", address: "-"},
		{in: "<user@a.[192.0.2.1]>", address: "-"},
		{in: "<user@" + long + ".org>", address: "-"},
		{in: "<" + long + long + long + "@example.org>", address: "-"},
		{in: "<a b@example.org>", address: "-"},
		{in: "<a@b@example.org>", address: "-"},
		{in: `<"a b@example.org>`, address: "-"},
		{in: "<\"a\x01b\"@example.org>", address: "-"},
		{in: "<@a.example user@example.org>", address: "-"},
		{in: "<@a.example,user@example.org>", address: "-"},
		{in: "<user@[192.0.2.256]>", address: "-"},
		{in: "<user@[2001:db8::1]>", address: "-"},
		{in: "<user@[IPv6:192.0.2.1]>", address: "-"},
		{in: "<user@[IPv6:fe80::1%eth0]>", address: "-"},
		{in: "<user@[192.0.2.1>", address: "-"},
	} {
		a, rest, err := ReversePath(tt.in, tt.utf8)
		if tt.address == "-" {
			if err == nil {
				t.Errorf("ReversePath(%q) = %q, %q; want an error", tt.in, a, rest)
			}
			continue
		}
		if err != nil || a != tt.address || rest != tt.rest {
			t.Errorf("ReversePath(%q) = %q, %q, %v; want %q, %q", tt.in, a, rest, err, tt.address, tt.rest)
		}
	}
}

func TestForwardPath(t *testing.T) {
	if a, _, err := ForwardPath("<Postmaster>", false); err != nil || a != "Postmaster" {
		t.Errorf("<Postmaster> = %q, %v", a, err)
	}
	for _, bad := range []string{"<>", "<root>", "<po\u017ftmaster>"} { // U+017F is not "s"
		if a, _, err := ForwardPath(bad, true); err == nil {
			t.Errorf("ForwardPath(%q) = %q, want an error", bad, a)
		}
	}
	if _, _, err := ForwardPath("<jörg@example.org>", false); !errors.Is(err, ErrNonASCII) {
		t.Errorf("non-ASCII address: %v", err)
	}
}

// A server may have a default domain for addresses without one. It does not apply
// to <postmaster> in RCPT; the policy of the server decides about that address.
func TestDefaultDomain(t *testing.T) {
	with := Syntax{DefaultDomain: "example.org"}
	for in, want := range map[string]string{
		"<scanner>":             "scanner@example.org",
		"< scanner > SIZE=1":    "scanner@example.org",
		"scanner SIZE=1":        "scanner@example.org",
		`<"my scanner">`:        `"my scanner"@example.org`,
		"<@a.example:scanner>":  "scanner@example.org",
		"<scanner@example.net>": "scanner@example.net",
		"<scanner@>":            "-",
		"<@>":                   "-",
		"<scan ner>":            "-",
		"<" + strings.Repeat("x", MaxPath-len("example.org")) + ">": "-",
	} {
		for _, read := range []func(string) (string, string, error){with.ReversePath, with.ForwardPath} {
			a, _, err := read(in)
			if err != nil {
				a = "-"
			}
			if a != want {
				t.Errorf("%q = %q, %v; want %q", in, a, err, want)
			}
		}
	}
	if a, _, err := with.ForwardPath("<postmaster>"); err != nil || a != "postmaster" {
		t.Errorf("RCPT TO:<postmaster>: %q, %v", a, err)
	}
	if a, _, err := with.ReversePath("<postmaster>"); err != nil || a != "postmaster@example.org" {
		t.Errorf("MAIL FROM:<postmaster>: %q, %v", a, err)
	}
	if a, _, err := with.ReversePath("<>"); err != nil || a != "" {
		t.Errorf("MAIL FROM:<>: %q, %v", a, err)
	}
}

func TestMailbox(t *testing.T) {
	for m, ok := range map[string]bool{
		"user@example.org": true, "us..er@example.org": true, `"a b"@example.org`: true,
		"": false, "user": false, "user@": false, "@example.org": false, "user@example.org.": false, "user@example.org ": false, "<user@example.org>": false,
	} {
		if err := Mailbox(m, false); (err == nil) != ok {
			t.Errorf("Mailbox(%q): %v", m, err)
		}
	}
}

// An accepted address can be written between angle brackets in a command, and is
// parsed there as itself.
func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"<>", "<user@example.org> SIZE=1", `<"a\"b@c"@example.org>`, "<@a,@b:c@d>", "<a@[IPv6:::1]>",
		"<jörg@bücher.example>", "postmaster", "< a..b@example.org. >\tSIZE=1", "<a@b。>", "<a@b.。.>", "<user@example.org", "<\x00@\r\n>",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, smtputf8 bool) {
		for _, parse := range []func(string, bool) (string, string, error){ReversePath, ForwardPath} {
			a, rest, err := parse(s, smtputf8)
			if err != nil {
				continue
			}
			if !strings.HasSuffix(s, rest) || (rest != "" && rest[0] != ' ' && rest[0] != '\t') {
				t.Errorf("%q: rest %q", s, rest)
			}
			for _, r := range a {
				if r < ' ' || r == 0x7f || (!smtputf8 && r > 0x7f) {
					t.Errorf("%q: address %q has the character %U", s, a, r)
				}
			}
			if len(a) > MaxPath {
				t.Errorf("%q: address of %d octets", s, len(a))
			}
			if problem := NotOnWire(a); problem != "" {
				t.Errorf("%q: address %q is accepted but cannot be sent: %s", s, a, problem)
			}
			again, rest, err := parse("<"+a+">", smtputf8)
			if err != nil || again != a || rest != "" {
				t.Errorf("%q: %q reads back as %q, %q, %v", s, a, again, rest, err)
			}
		}
	})
}
