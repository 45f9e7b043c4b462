package main

import (
	"encoding/base64"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The usual tests of a server by telnet: the internet can reach it, it offers the
// extensions, mail is relayed in both directions, and forbidden mail is refused.
func TestTelnet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	organization := &peers.Postfix{Domains: "example.com", Addr: organizationAddr + ":" + port(peers.FreeAddr(t)), Main: relayByUs(w)}
	internet := &peers.Postfix{Domains: "example.net"}
	peers.StartPostfixes(t, organization, internet)
	certificate, key := w.pemFiles("edge", smtptest.Certificate(t, "edge.example.com"))
	w.write("HOSTS", hosts(organization.Addr), "PORT", port(internet.Addr), "TLS", "cert: "+certificate+"\nkey: "+key,
		"SECURITY", "externally-secured: ["+organizationAddr+"]\n    accounts: "+w.accounts("alice", "wonderland"))
	w.start()
	w.offered()
	w.typedIn()
	if m := organization.Next(t); !contains(m, "X-Original-To: alice@example.com", "by edge.example.com with ESMTP id", "Subject: a test\n\nDoes it arrive?\n") {
		t.Errorf("the organization received\n%s", m)
	}
	w.refused()
	w.typedOut()
	if m := internet.Next(t); !contains(m, "X-Original-To: carol@example.net", "by edge.example.com with ESMTPSA id", "Subject: a test\n\nDoes it arrive?\n") {
		t.Errorf("the internet received\n%s", m)
	}
	w.p.Stop(t)
	w.keepSecrets("wonderland")
	w.telnetLogs()
}

// offered: the name and the extensions of the server. If a firewall rewrites the
// session, extensions are missing.
func (w *world) offered() {
	script := "S: 220 edge.example.com\n"
	for _, extension := range []string{"edge.example.com", "SIZE 37748736", "PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "CHUNKING", "SMTPUTF8", "STARTTLS"} {
		script += "C: ehlo client.test\nS: 250 " + extension + "\n"
	}
	smtptest.TalkOn(w.t, peers.Telnet(w.t, w.internet), script+`
		# DSN is for known clients.
		C: mail from:<carol@example.net> ret=hdrs
		S: 555 5.5.4
		# HELO still works.
		C: helo client.test
		S: 250 edge.example.com
		# No client can find out mailboxes
		C: vrfy alice
		S: 252
		C: expn staff
		S: 502
		# or fetch mail.
		C: turn
		S: 502
		C: etrn example.com
		S: 502
		C: quit
		S: 221
		EOF
	`)
}

const typed = `
	C: data
	S: 354
	C: Subject: a test
	C:
	C: Does it arrive?
	C: .
	S: 250 2.0.0 Ok: queued as
	C: quit
	S: 221
	EOF
`

// typedIn: a user of the internet sends mail to one of the organization.
func (w *world) typedIn() {
	smtptest.TalkOn(w.t, peers.Telnet(w.t, w.internet), `
		S: 220
		C: ehlo client.test
		S: 250
		C: mail from:carol@example.net
		S: 250 2.1.0
		C: rcpt to:alice@example.com
		S: 250 2.1.5
	`+typed)
}

// refused: the replies to forbidden commands, each in a session of its own.
func (w *world) refused() {
	const sender = "C: mail from:carol@example.net\nS: 250 2.1.0\n"
	for _, script := range []string{
		"# a relay for strangers\n" + sender + "C: rcpt to:dave@example.org\nS: 550 5.7.1",
		"# an unknown mailbox\n" + sender + "C: rcpt to:unknown@example.com\nS: 550 5.1.1",
		"# a sender of the organization's, from outside\nC: mail from:bob@example.com\nS: 550 5.7.1",
		"# a blocked sender\nC: mail from:x@spam.test\nS: 554 5.1.0",
		"# an invalid address\n" + sender + "C: rcpt to:alice@\nS: 501 5.1.3",
		"# no recipient\n" + sender + "C: data\nS: 503 5.5.1",
		"# no sender\nC: rcpt to:alice@example.com\nS: 503 5.5.1\nC: data\nS: 503 5.5.1",
		"# two senders\n" + sender + "C: mail from:dave@example.org\nS: 503 5.5.1",
		"# no argument\nC: mail\nS: 501 5.5.4",
		"# no command\nC: hello\nS: 500 5.5.2",
		"# AUTH is not offered\nC: auth login\nS: 502 5.5.1",
	} {
		smtptest.TalkOn(w.t, peers.Telnet(w.t, w.internet), "S: 220\nC: ehlo client.test\nS: 250\n"+script+"\nC: quit\nS: 221\nEOF")
	}
	// MAIL before EHLO.
	smtptest.TalkOn(w.t, peers.Telnet(w.t, w.internet), "S: 220\nC: mail from:carol@example.net\nS: 503 5.5.1\nC: quit\nS: 221\nEOF")
}

// typedOut: a user of the organization, from an address that is not trusted, sends
// mail to one of the internet. This requires a password, and the password
// requires TLS, which telnet does not have.
func (w *world) typedOut() {
	smtptest.TalkOn(w.t, peers.Telnet(w.t, w.organization), `
		S: 220
		C: ehlo client.test
		S: 250 STARTTLS
		C: auth login
		S: 538 5.7.11
		C: mail from:alice@example.com
		S: 530 5.7.0
		C: quit
		S: 221
		EOF
	`)
	secret := func(s string) string { return "C: " + base64.StdEncoding.EncodeToString([]byte(s)) + "\n" }
	smtptest.TalkOn(w.t, peers.SecureTelnet(w.t, w.organization), `
		C: ehlo client.test
		S: 250 AUTH PLAIN LOGIN
		C: auth login
		# The server asks for the name and for the password, and takes both, in base64.
		S: 334 VXNlcm5hbWU6
		`+secret("alice")+`
		S: 334 UGFzc3dvcmQ6
		`+secret("wonderland")+`
		S: 235 2.7.0
		C: mail from:alice@example.com
		S: 250 2.1.0
		C: rcpt to:carol@example.net
		S: 250 2.1.5
	`+typed)
}

// telnetLogs: refused commands are in the protocol log too.
func (w *world) telnetLogs() {
	inOrder(w.t, w.protocol("RECV", "internet"), "< VRFY alice", "> 252",
		"< MAIL from:carol@example.net", "< RCPT to:dave@example.org", "> 550 5.7.1", "< RCPT to:unknown@example.com", "> 550 5.1.1",
		"< MAIL from:bob@example.com", "> 550 5.7.1", "< RCPT to:alice@", "> 501 5.1.3", "< DATA", "> 503 5.5.1")
	inOrder(w.t, w.protocol("RECV", "organization"), "< AUTH", "> 538 5.7.11", "> 530 5.7.0",
		"< STARTTLS", "< AUTH", "> 334", "< <response>", "> 334", "< <response>", "* authenticated by LOGIN as alice", "> 235 2.7.0", "< MAIL from:alice@example.com", "> 250 2.0.0")
	w.tracked("alice@example.com", "RECEIVE internet", "BEGINTRANSFER organization", "SEND organization")
	w.tracked("carol@example.net", "RECEIVE organization", "BEGINTRANSFER internet", "SEND internet")
	w.tracked("dave@example.org", "REJECT internet")
}
