package header_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

func mailboxes(list []header.Address, inName bool) (all []string) {
	for _, a := range list {
		if a.InName == inName {
			all = append(all, a.Addr)
		}
	}
	return all
}

// Well-formed values, with the addresses of their mailboxes.
func TestAddresses(t *testing.T) {
	for value, want := range map[string]string{
		"alice@example.com":                      "alice@example.com",
		"<alice@example.com>":                    "alice@example.com",
		"Alice <alice@example.com>":              "alice@example.com",
		"alice@example.com, Bob <bob@b.example>": "alice@example.com bob@b.example",
		"a@example.com,\r\n\t,, b@example.com,":  "a@example.com b@example.com",

		// White space and comments around @ and dots (RFC 5322, 3.4.1 and 4.4).
		"<alice @ example.com>":                                "alice@example.com",
		"alice @ example . com":                                "alice@example.com",
		`"alice" (c) @ example.com`:                            "alice@example.com",
		"<alice@example(c).com>":                               "alice@example.com",
		"<alice@example. com>":                                 "alice@example.com",
		"alice@(c)example.com":                                 "alice@example.com",
		"< alice@example.com >":                                "alice@example.com",
		"Alice <(a(b\\)c)d)alice\r\n @\r\n\texample\r\n .com>": "alice@example.com",
		"alice@example.com(not <x@y.example>, (really))":       "alice@example.com",
		"a . b @ c . d":                                        "a.b@c.d",
		"alice@[ 192.0.2.1 ] (c)":                              "alice@[192.0.2.1]",
		"alice@ (c) [IPv6:2001:db8::1]":                        "alice@[IPv6:2001:db8::1]",

		// The examples of RFC 5322, A.1.2, A.1.3, A.5, A.6.1 and A.6.3.
		"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>":    "mary@x.test jdoe@example.org one@y.test",
		`<boss@nil.test>, "Giant; \"Big\" Box" <sysservices@example.net>`:  "boss@nil.test sysservices@example.net",
		"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;": "c@a.test joe@where.test jdoe@one.test",
		"Undisclosed recipients:;":                                         "",
		`Pete(A nice \) chap) <pete(his account)@silly.test(his host)>`:    "pete@silly.test",
		"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)": "c@public.example joe@example.org jdoe@one.test",
		"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;":  "",
		"Joe Q. Public <john.q.public@example.com>":                        "john.q.public@example.com",
		"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example": "mary@example.net jdoe@test.example",
		"John Doe <jdoe@machine(comment).  example>":                       "jdoe@machine.example",
		"<@a.example,@b.example:c@d.example>":                              "c@d.example",
		"<,@a.example (c) , , @ b . example : c@d.example>":                "c@d.example",

		// Necessary quotes are kept, others are removed.
		`"alice"@example.com`:              "alice@example.com",
		`"al"."ice"@example.com`:           "al.ice@example.com",
		`"a b"@example.com`:                `"a b"@example.com`,
		`"a\b"@example.com`:                "ab@example.com",
		`<"odd> local"@example.org>`:       `"odd> local"@example.org`,
		`"a@b"@example.com`:                `"a@b"@example.com`,
		`"a\"\\b"@example.com`:             `"a\"\\b"@example.com`,
		`""@example.com`:                   `""@example.com`,
		`"a..b"@example.com`:               "a..b@example.com",
		"a..b@example.com, .a@b.c, a.@b.c": "a..b@example.com .a@b.c a.@b.c",

		// Names.
		`"bob@good.example" <m@evil.example>`:             "m@evil.example",
		"=?utf-8?q?bob=40good.example?= <m@evil.example>": "m@evil.example",
		`"a\" <x@y.example>" <a@example.org>`:             "a@example.org",
		"<a@evil.example> (a@good.example) Name":          "a@evil.example",
		"Doe, John <j@example.org>":                       "j@example.org",
		"[External] Joe :-) <j@example.org>":              "j@example.org",
		"HP Scanner scanner@example.org":                  "scanner@example.org",
		"\xe4\xfc <j@example.org>":                        "j@example.org",
		"@good.example:a@evil.example":                    "a@evil.example",
		"Postmaster":                                      "", "": "", "Mail Delivery System <>": "", "=?utf-8?q?ceo=40bank.example?=": "", `"a@b"`: "",

		"josé@bücher.example": "josé@bücher.example",
		"alice@example.com.":  "alice@example.com",
		"root@localhost":      "root@localhost",
	} {
		list, err := header.Addresses(value)
		if got := strings.Join(mailboxes(list, false), " "); got != want || err != nil {
			t.Errorf("%q:\n got %s (%v),\nwant %s", value, got, err, want)
		}
		for _, a := range list {
			if s := value[a.Start:a.End]; header.Unfold(s) != s && strings.ContainsAny(s[:1]+s[len(s)-1:], " \t\r\n()<>,") {
				t.Errorf("%q: %s is at %q", value, a.Addr, s)
			}
		}
	}
}

// Values that are malformed, or that programs parse in different ways. The result
// still has everything that looks like an address.
func TestAddressesMalformed(t *testing.T) {
	for value, want := range map[string]string{
		"<alice@example.org":                "alice@example.org",
		`"alice@example.org`:                "",
		"(alice@example.org":                "",
		"a@b.example, (c":                   "", // the first address is well-formed
		"alice@exa mple.org":                "alice@exa",
		"alice@":                            "",
		"@example.org":                      "",
		"<@example.org>":                    "",
		"<alice>":                           "",
		"alice@example..org":                "alice@example",
		"alice@.example.org":                "",
		".@example.org":                     "",
		"a@b.example@evil.example":          "a@b.example",
		"a@b.example a@evil.example":        "a@b.example a@evil.example",
		"<a@b.example@evil.example>":        "a@b.example",
		"<a@b.example a@evil.example>":      "a@b.example a@evil.example",
		"<x alice@example.org>":             "alice@example.org",
		"<a@evil.example> a@b.example":      "a@b.example",
		"<a@b.example> <c@d.example>":       "c@d.example",
		"a@b.example <>":                    "a@b.example",
		`"x" <a@b.example> (c@d) "e@f" g@h`: "g@h",
		"a@b.example)":                      "a@b.example",
		"a)b@c.example":                     "b@c.example",
		"<a@evil.example(@b.example)>, x@<": "", // well-formed, then not
		"<a@b.example, c@d.example>":        "a@b.example c@d.example",
		"<@a.example b@c.example>":          "b@c.example",
		"a@\"b.example\"":                   "",
		"a@[192.0.2.1":                      "",
		"a@[192.0.2.1][192.0.2.2]":          "a@[192.0.2.1]",
		`a@[\]]`:                            "",
		"a\\@b.example":                     "",
		"a\x00@b.example":                   "",
		"a@b.example\x00":                   "a@b.example",
		"\"a\x01\"@b.example":               "",
		"a\u0085@b.example":                 "",
		"\xff@b.example":                    "",
		"=?utf-8?q?joe@b.example?=":         "",
		"<=?utf-8?q?joe?=@b.example>":       "",
	} {
		list, err := header.Addresses(value)
		if got := strings.Join(mailboxes(list, true), " "); got != want || err == nil {
			t.Errorf("%q: %s (%v), want %s", value, got, err, want)
		}
	}
	list, _ := header.Addresses("a@b.example, <c, d@e.example, g: f@h.example;")
	if got := mailboxes(list, false); !slices.Equal(got, []string{"a@b.example"}) {
		t.Errorf("the mailboxes that can be read: %q", got)
	}
	for value, want := range map[string]string{
		"a@x.example <b@y.example>":             "a@x.example",
		"a@x.example: b@y.example;":             "a@x.example",
		"a@x.example b@y.example <c@z.example>": "a@x.example b@y.example",
		"=?utf-8?q?a@x?= b <c@z.example>":       "",
	} {
		list, err := header.Addresses(value)
		if got := strings.Join(mailboxes(list, true), " "); got != want || err != nil {
			t.Errorf("%q: in names %s (%v), want %s", value, got, err, want)
		}
	}
}

func TestAuthorDomain(t *testing.T) {
	for value, want := range map[string]string{
		"alice@example.org":                          "example.org",
		"Alice <alice@Example.ORG>":                  "example.org",
		"bob@good.example <mallory@evil.example>":    "evil.example",
		"a@example.org, b@example.org,":              "example.org",
		"Friends: a@example.org, B <b@EXAMPLE.org>;": "example.org",
		"josé@bücher.example":                        "xn--bcher-kva.example",
		`<"a@good.example"@evil.example>`:            "evil.example",
		"a@good.example: a@evil.example;":            "evil.example",
	} {
		if got, err := header.AuthorDomain([]string{value}); got != want || err != nil {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
	for value, want := range map[string]error{
		"": header.ErrNoAuthor, "alice": header.ErrNoAuthor, "Mail Delivery System <>": header.ErrNoAuthor, "Nobody:;": header.ErrNoAuthor,
		"MAILER-DAEMON (Mail Delivery System)": header.ErrNoAuthor, "=?utf-8?q?ceo=40bank.example?=": header.ErrNoAuthor,
		"a@bank.example <>":                      header.ErrAuthor,
		"a@bank..example":                        header.ErrAuthor,
		"a@bank.example, <b":                     header.ErrAuthor,
		"a@b=c.example":                          header.ErrAuthor,
		"a@" + strings.Repeat("x.", 130) + "org": header.ErrAuthor,
		"a@[300.0.2.1]":                          header.ErrAuthor,
		strings.Repeat("a@example.org,", 51):     header.ErrAuthor,
		"a@x.example, b@bank.example":            header.ErrAuthorDomains,
	} {
		if d, err := header.AuthorDomain([]string{value}); !errors.Is(err, want) {
			t.Errorf("%.60q: %q, %v, want %v", value, d, err, want)
		}
	}
	if _, err := header.AuthorDomain([]string{"a@[192.0.2.1]"}); err == nil || errors.Is(err, header.ErrAuthor) {
		t.Errorf("an address literal: %v", err)
	}
	if _, err := header.AuthorDomain([]string{"a@x.example", "a@x.example"}); !errors.Is(err, header.ErrAuthorDomains) {
		t.Errorf("two From fields: %v", err)
	}
	if _, err := header.Authors([]string{"a@x.example", "Alice"}); !errors.Is(err, header.ErrNoAuthor) {
		t.Errorf("one From field of two without an address: %v", err)
	}
	if _, err := header.AuthorDomain(nil); !errors.Is(err, header.ErrNoAuthor) {
		t.Errorf("no From field: %v", err)
	}
}

func TestAuthors(t *testing.T) {
	list, err := header.Authors([]string{"a@x.example", "Bob <b@y.example", "c@z.example <d@w.example>"})
	if got := mailboxes(list, false); !slices.Equal(got, []string{"a@x.example", "d@w.example"}) || !errors.Is(err, header.ErrAuthor) {
		t.Errorf("%q, %v", got, err)
	}
	if got := mailboxes(list, true); !slices.Equal(got, []string{"b@y.example", "c@z.example"}) {
		t.Errorf("in names: %q", got)
	}
}
