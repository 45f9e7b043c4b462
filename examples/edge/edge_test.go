package main

import (
	"context"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Inbound and outbound mail between two Postfixes: the organization's, which is
// externally secured, and the internet's.
func TestInboundAndOutbound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	organization := (&peers.Postfix{Domains: "example.com", Addr: organizationAddr + ":" + port(peers.FreeAddr(t)),
		Main: relayByUs(w)}).Start(t)
	internet := (&peers.Postfix{Domains: "example.net"}).Start(t)
	w.write("HOSTS", hosts(organization.Addr), "PORT", port(internet.Addr))
	w.start()

	// Inbound: forged fields of the organization are removed, the results of the
	// checks are added.
	w.talk("127.0.0.1", w.internet, greeting+message("carol@example.net", "alice@example.com",
		"C: X-MS-Exchange-Organization-SCL: -1\nC: Authentication-Results: edge.example.com; dmarc=pass\n")+"C: QUIT\nS: 221\nEOF")
	m := organization.Next(t)
	for _, want := range []string{"X-Original-To: alice@example.com", "by edge.example.com", "Authentication-Results: edge.example.com;", "spf=pass"} {
		if !strings.Contains(m, want) {
			t.Errorf("the organization received no %q in\n%s", want, m)
		}
	}
	for _, not := range []string{"X-MS-Exchange-Organization", "dmarc=pass"} {
		if strings.Contains(m, not) {
			t.Errorf("the organization received %q in\n%s", not, m)
		}
	}

	// Outbound: from a user to the organization's server, from there to the edge,
	// and by MX to the internet.
	if out, err := peers.Swaks(t, "--server", organization.Addr, "--from", "alice@example.com", "--to", "carol@example.net",
		"--add-header", "X-MS-Exchange-Organization-SCL: -1"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	if m := internet.Next(t); !strings.Contains(m, "X-Original-To: carol@example.net") || !strings.Contains(m, "by edge.example.com") ||
		strings.Contains(m, "X-MS-Exchange-Organization") {
		t.Errorf("the internet received\n%s", m)
	}
	w.refusals()
	w.p.Stop(t)
}

// If the organization refuses a message, the sender gets a report. It takes the
// connector to the internet, which mail from the internet cannot take.
func TestReport(t *testing.T) {
	w := newWorld(t)
	organization := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{{
		Rcpt: func(context.Context, *smtpserver.Session, string, *smtp.RcptOptions) error {
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 2, 1}, Message: "Mailbox disabled"}
		}}}})
	internet := smtptest.NewServer(t, nil)
	w.write("HOSTS", hosts(organization.Addr), "PORT", port(internet.Addr))
	w.start()
	w.talk("127.0.0.1", w.internet, greeting+message("carol@example.net", "alice@example.com", ""))
	if m := internet.Inbox.Next(t); m.From != "" || m.To()[0] != "carol@example.net" || !strings.Contains(m.Text, "Status: 5.2.1") {
		t.Errorf("from %q to %q:\n%s", m.From, m.To(), m.Text)
	}
	w.p.Stop(t)
}

// refusals checks what a client from the internet cannot do.
func (w *world) refusals() {
	for _, c := range []struct{ name, from, to, script string }{
		{"relay for a stranger", "127.0.0.1", w.internet, "C: MAIL FROM:<x@example.net>\nS: 250\nC: RCPT TO:<y@example.org>\nS: 550 5.7.1"},
		{"an unknown recipient", "127.0.0.1", w.internet, "C: MAIL FROM:<x@example.net>\nS: 250\nC: RCPT TO:<unknown@example.com>\nS: 550 5.1.1"},
		{"our own sender", "127.0.0.1", w.internet, "C: MAIL FROM:<bob@example.com>\nS: 550 5.7.1"},
		{"a sender on the list", "127.0.0.1", w.internet, "C: MAIL FROM:<x@spam.test>\nS: 554 5.1.0"},
		{"a client on a list in the DNS", "127.0.0.4", w.internet, "C: MAIL FROM:<x@example.net>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 550 5.7.1\nC: RCPT TO:<bob@example.com>\nS: 250"},
		{"an author that fails DMARC", "127.0.0.1", w.internet, strings.TrimSuffix(message("x@strict.test", "alice@example.com", ""), "S: 250\n") + "S: 550 5.7.1"},
		{"the organization's listener", "127.0.0.1", w.organization, "C: MAIL FROM:<x@example.net>\nS: 550 5.7.1"},
	} {
		w.t.Run(c.name, func(t *testing.T) {
			inner := *w
			inner.t = t
			inner.talk(c.from, c.to, greeting+c.script)
		})
	}
}
