package fromfield

import (
	"errors"
	"strings"
	"testing"
)

func TestDomain(t *testing.T) {
	for value, want := range map[string]string{
		"alice@example.org":                                     "example.org",
		"Alice <alice@Example.ORG>":                             "example.org",
		`"bob@good.example" <mallory@evil.example>`:             "evil.example",
		"bob@good.example <mallory@evil.example>":               "evil.example",
		"=?utf-8?q?bob=40good.example?= <mallory@evil.example>": "evil.example",
		`"a, b" <a@example.org>`:                                "example.org",
		`"a\" <x@y.example>" <a@example.org>`:                   "example.org",
		"alice@example.org (not <x@y.example>, (really))":       "example.org",
		"(c) alice(c)@example.org":                              "example.org",
		"<alice@example.org>":                                   "example.org",
		`"odd@local"@example.org`:                               "example.org",
		`<"odd> local"@example.org>`:                            "example.org",
		"a@example.org, b@example.org,":                         "example.org",
		"Friends: a@example.org, B <b@EXAMPLE.org>;":            "example.org",
		"<@relay.example:alice@example.org>":                    "example.org",
		"josé@bücher.example":                                   "xn--bcher-kva.example",
		"Doe, John <j@example.org>":                             "example.org",
		"Doe, John (x@y.example)":                               "",
		"a@x.example, b@y.example":                              "",
		"<a@x.example> <b@y.example>":                           "",
		"alice":                                                 "",
		"Alice <>":                                              "",
		"":                                                      "",
		"Nobody:;":                                              "",
		"<alice@example.org":                                    "",
		`"alice@example.org`:                                    "",
		"(alice@example.org":                                    "",
		"alice@[192.0.2.1]":                                     "",
		"alice@exa mple.org":                                    "",
		"alice@":                                                "",
		"a@b@" + strings.Repeat("x.", 130) + "org":              "",
		strings.Repeat("a@example.org,", maxAddresses+1):        "",
	} {
		got, err := Domain([]string{value})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.60q: %q (%v), want %q", value, got, err, want)
		}
	}
	for value, want := range map[string]error{
		"":                                     ErrNone,
		"Mail Delivery System <>":              ErrNone,
		"a@bank.example <>":                    ErrMalformed,
		"MAILER-DAEMON (Mail Delivery System)": ErrNone,
		"=?utf-8?q?ceo=40bank.example?=":       ErrNone,
		"a@bank.example@evil.example":          ErrMalformed,
		"a@bank.example a@evil.example":        ErrMalformed,
		"<a@bank.example@evil.example>":        ErrMalformed,
		"<a@evil.example> a@bank.example":      ErrMalformed,
		`"a@b" <a@bank.example> (c@d) "e@f"`:   ErrMalformed,
		"a@bank..example":                      ErrMalformed,
		"a@bank.example)":                      ErrMalformed,
		"<a@bank.example":                      ErrMalformed,
		"<a@evil.example(@bank.example)>":      ErrMalformed,
		"a@x.example, b@bank.example":          ErrSeveral,
	} {
		if _, err := Domain([]string{value}); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", value, err, want)
		}
	}
	for value, want := range map[string]string{
		" a@good.example <a@evil.example>":       "evil.example",
		`<"a@good.example"@evil.example>`:        "evil.example",
		`"a@good.example"@evil.example`:          "evil.example",
		"<a@evil.example> (a@good.example) Name": "evil.example",
		"a@good.example: a@evil.example;":        "evil.example",
		"@good.example:a@evil.example":           "evil.example",
	} {
		if got, err := Domain([]string{value}); got != want {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
	if _, err := Domain([]string{"a@[192.0.2.1]"}); err == nil || errors.Is(err, ErrMalformed) {
		t.Errorf("an address literal: %v", err)
	}
	if _, err := Domain([]string{"a@x.example", "a@x.example"}); !errors.Is(err, ErrSeveral) {
		t.Errorf("two From fields: %v", err)
	}
	if _, err := Domain(nil); !errors.Is(err, ErrNone) {
		t.Errorf("no From field: %v", err)
	}
}

func FuzzDomain(f *testing.F) {
	f.Add(`"a" <b@c>, g: d@e;`)
	f.Add(`(x(y)z) "q\"@"@w`)
	f.Fuzz(func(t *testing.T, value string) {
		d, err := Domain([]string{value})
		if (err == nil) != (d != "") || strings.ContainsAny(d, " <>@,;\r\n") {
			t.Errorf("%q: %q, %v", value, d, err)
		}
	})
}
