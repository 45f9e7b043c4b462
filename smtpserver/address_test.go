package smtpserver_test

import (
	"slices"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestAddresses(t *testing.T) {
	srv := smtptest.NewServer(t, generous())
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		# What is wrong with an address is said.
		C: MAIL
		S: 501 5.5.4 Syntax: MAIL FROM:<address>
		C: MAIL TO:<a@example.com>
		S: 501 5.5.4
		C: MAIL FROM:
		S: 501 5.1.7
		C: MAIL FROM:<a>
		S: 501 5.1.7 Bad address syntax: no @ and domain
		C: MAIL FROM:<a@example.com
		S: 501 5.1.7
		C: MAIL FROM:<a@example.com>>
		S: 501 5.1.7
		C: MAIL FROM:<a b@example.com>
		S: 501 5.1.7
		C: MAIL FROM:<jörg@example.com>
		S: 553 5.6.7
		# People and devices write it so, and it is taken.
		C: mail from: <a@example.com>
		S: 250
		C: RSET
		S: 250
		C: MAIL FROM:a@example.com
		S: 250
		C: RCPT
		S: 501 5.5.4
		C: RCPT TO:<>
		S: 501 5.1.3
		C: RCPT TO:<root>
		S: 501 5.1.3
		C: RCPT TO:<jörg@example.com>
		S: 553 5.6.7
		C: RCPT TO:<Postmaster>
		S: 250
		C: RCPT TO:<@relay.example,@other.example:b@example.com>
		S: 250
		C: RCPT TO:<"quoted local"@example.com>
		S: 250
		C: RCPT TO:<"a@b>"@example.com>
		S: 250
		C: RCPT TO:<c@[192.0.2.1]>
		S: 250
		C: RCPT TO:<c@[IPv6:2001:db8::1]>
		S: 250
		C: RCPT TO:<c@xn--bcher-kva.example>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250
		C: MAIL FROM:<jörg@bücher.example> SMTPUTF8
		S: 250
		C: RCPT TO:<用户@例え.example> ORCPT=utf-8;用户@例え.example
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
	m := srv.Inbox.Next(t)
	want := []string{"Postmaster", "b@example.com", `"quoted local"@example.com`, `"a@b>"@example.com`,
		"c@[192.0.2.1]", "c@[IPv6:2001:db8::1]", "c@xn--bcher-kva.example"}
	if got := m.To(); !slices.Equal(got, want) {
		t.Errorf("recipients %q, want %q", got, want)
	}
	m = srv.Inbox.Next(t)
	if m.From != "jörg@bücher.example" || m.To()[0] != "用户@例え.example" || m.Protocol != "UTF8SMTP" {
		t.Errorf("from %q to %q with %s", m.From, m.To(), m.Protocol)
	}
	if o := m.Recipients[0].Options; o.OriginalRecipient != "用户@例え.example" || o.OriginalRecipientType != "UTF-8" {
		t.Errorf("options %+v", o)
	}
}

// Only the host of a mailbox interprets its local part (RFC 5321, 2.3.11).
// Postfix 3.7 and Exim 4.96 also accept these.
func TestUnusualLocalParts(t *testing.T) {
	srv := smtptest.NewServer(t, nil)
	odd := []string{"a..b@docomo.example", ".a@docomo.example", "a.@docomo.example", "...@docomo.example"}
	for _, a := range odd {
		conn := dialRaw(t, srv.Addr)
		conn.expect("220")
		conn.send("EHLO client.example\r\n")
		conn.expect("250")
		conn.send("MAIL FROM:<" + a + ">\r\nRCPT TO:<" + a + ">\r\nDATA\r\n")
		conn.expect("250", "250", "354")
		conn.send("Subject: x\r\n\r\n.\r\n")
		conn.expect("250")
		if m := srv.Inbox.Next(t); m.From != a || !slices.Equal(m.To(), []string{a}) {
			t.Errorf("%s: from %q to %q", a, m.From, m.To())
		}
	}
}

// The server removes a dot after the domain.
func TestDotAfterTheDomain(t *testing.T) {
	srv := smtptest.NewServer(t, nil)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<a@example.net..>
		S: 501 5.1.7
		C: MAIL FROM:<a@example.net.> SIZE=10
		S: 250
		C: RCPT TO:<b@example.com.> NOTIFY=NEVER
		S: 250
		C: RCPT TO:<@relay.example.:c@example.com.>
		S: 501
		C: RCPT TO:<d@example.com..>
		S: 501 5.1.3
		C: DATA
		S: 354
		C: .
		S: 250
	`)
	if m := srv.Inbox.Next(t); m.From != "a@example.net" || !slices.Equal(m.To(), []string{"b@example.com"}) {
		t.Errorf("from %q to %q", m.From, m.To())
	}
}

// With DefaultDomain, devices can send addresses without a domain.
func TestAddressesWithoutADomain(t *testing.T) {
	s := generous()
	s.DefaultDomain = "example.com"
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<scanner@>
		S: 501
		C: MAIL FROM:<scanner>
		S: 250
		C: RCPT TO:<root>
		S: 250
		C: RCPT TO:admin
		S: 250
		C: RCPT TO:<"my self">
		S: 250
		C: RCPT TO:<postmaster>
		S: 250
		C: RCPT TO:<b@example.net>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<>
		S: 501
		C: RCPT TO:<b@example.net>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250
	`)
	m := srv.Inbox.Next(t)
	want := []string{"root@example.com", "admin@example.com", `"my self"@example.com`, "postmaster", "b@example.net"}
	if m.From != "scanner@example.com" || !slices.Equal(m.To(), want) {
		t.Errorf("from %q to %q", m.From, m.To())
	}
	if m := srv.Inbox.Next(t); m.From != "" {
		t.Errorf("the null reverse-path became %q", m.From)
	}
}
