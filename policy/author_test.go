package policy

import (
	"context"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// From fields with one author, in forms that unknown clients and old programs
// use (RFC 5322, 3.4, 4.4, A.5).
var writtenAuthor = []string{
	"alice@example.com",
	"<alice @ example.com>",
	"alice @ example . com",
	`"alice" (c) @ example.com`,
	"<alice@example(c).com>",
	"<alice@example. com>",
	"<alice@ example.com>",
	"alice@(c)example.com",
	"<@x.example,@y.example:alice@example.com>",
	"Friends (c): <alice@example.com>;",
	`Pete(A nice \) chap) <alice(his account)@example.com(his host)>`,
	"Pete\n (c\n ) <alice\n @\n example\n .com>",
	"alice@EXAMPLE.com.",
	"a@example.net, <alice@ example.com>",
	"<alice @ example.com>, a@example.net",
	"alice @example.com <a@example.net>",
}

// From fields in which the author cannot be read, or in which different
// programs read different authors.
var noAuthor = []string{
	"Alice", `"alice@example.net"`, "Alice <>", "Friends:;", "", "(a@example.net)", "=?utf-8?q?alice=40example.net?=",
	"alice@", "@example.net", "<alice>", "<a@example.net", `"a@example.net`, "(a@example.net", "a@exa mple.net", "a@example..net",
	"<a@example.net> b@example.net", "a@b@example.net", "a@example.net)", "<a@example.net> <b@example.net>", "=?utf-8?q?a@example.net?=",
	"a@example>.net", "a@example.net, <b", "\xff@example.net",
}

// Spoofing, SendAs and SenderFilter read the same author, and refuse a From
// field in which the author cannot be read.
func TestAgentsReadTheSameAuthor(t *testing.T) {
	ds := mustDomains(t, Domain{Name: "example.com"})
	owns := func(_ context.Context, _, sender string) (bool, error) { return sender == "x@example.net", nil }
	for _, c := range []struct {
		name    string
		agent   smtpserver.Agent
		refused string
	}{
		{"Spoofing", (&Spoofing{Domains: ds}).Agent(), "550 5.7.1"},
		{"Spoofing with Trusted", (&Spoofing{Domains: ds, Trusted: func(context.Context, *smtpserver.Session, *smtpserver.Message) bool { return false }}).Agent(), "550 5.7.1"},
		{"SenderFilter of an address", (&SenderFilter{Addresses: []string{"alice@example.com"}}).Agent(), "554 5.1.0"},
		{"SenderFilter of a domain", (&SenderFilter{Domains: []string{"example.com"}}).Agent(), "554 5.1.0"},
		{"SendAs", (&SendAs{Owns: owns}).Agent(), "550 5.7.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := servePasswords(t, c.agent)
			talk := func(reversePath, from, want string) {
				script := mailHeader(reversePath, "To: b@example.org\nFrom: "+from, want)
				if c.name == "SendAs" {
					script = strings.Replace(script, "C: MAIL", "C: AUTH PLAIN AGFsaWNlAGVjaWxh\nS: 235\nC: MAIL", 1)
				}
				srv.Talk(t, stranger, script)
			}
			for _, from := range writtenAuthor {
				talk("x@example.net", from, c.refused)
			}
			for _, from := range noAuthor {
				talk("x@example.net", from, "550 5.")
			}
			for _, from := range []string{
				"x@example.net", "X <x@example.net>", "Y (alice@example.com) <x(c)@ example.net (d)>", `"alice@example.com" <x @ example.net>`, "X.Y. <x@(c\n d)example.net>",
			} {
				talk("x@example.net", from, "250")
			}
			// A report may have no author.
			want := "250"
			if c.name == "SendAs" {
				want = "550 5.6.0"
			}
			for _, from := range []string{"MAILER-DAEMON (Mail Delivery System)", "Mail Delivery System <>"} {
				talk("", from, want)
			}
		})
	}
}
