package main

import (
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The tests that an article about edge servers recommends for a new gateway before
// the MX records point to it, with basic authentication over TLS: the edge logs in
// to the organization's server.
func TestArticle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cert := smtptest.Certificate(t, "bridgehead.example.com")
	organization := (&peers.Postfix{Domains: "example.com", Addr: organizationAddr + ":" + port(peers.FreeAddr(t)),
		Certificate: &cert, Accounts: map[string]string{"edge": "edge's password", "alice": "alice's password"},
		Main: relayByUs(w)}).Start(t)
	mx := peers.FreeAddr(t) // no server listens there yet
	roots, _ := w.pemFiles("roots", cert)
	w.write("HOSTS", `[{host: "bridgehead.example.com:`+port(organization.Addr)+`"}]`, "PORT", port(mx),
		"AUTH", "user: edge\n    password-file: "+w.file("password", "edge's password\n")+"\n    roots: "+roots)
	w.start()
	w.inbound(organization)
	w.outbound(organization, mx)
	w.p.Stop(t)
	w.keepSecrets("edge's password", "alice's password")
	w.inboundLogs()
	w.outboundLogs()
}

// relayByUs returns the settings of an organization's Postfix that sends through
// the edge, from the organization's address.
func relayByUs(w *world) string {
	host, edgePort, _ := net.SplitHostPort(w.organization)
	return "relayhost = [" + host + "]:" + edgePort + "\ninet_interfaces = 127.0.0.1\nsmtp_bind_address = " + organizationAddr + "\n"
}

// inbound: a user of the internet sends to a mailbox of the organization.
func (w *world) inbound(organization *peers.Postfix) {
	// There is no MX record yet. So the administrator uses telnet with the
	// address of the internet listener.
	smtptest.TalkOn(w.t, peers.Telnet(w.t, w.internet), `
		S: 220 edge.example.com
		C: ehlo client.test
		S: 250 edge.example.com
		C: mail from:carol@example.net
		S: 250 2.1.0
		C: rcpt to:alice@example.com
		S: 250 2.1.5
		C: data
		S: 354
		C: Message-ID: <inbound@example.net>
		C: Subject: typed
		C:
		C: .. is a line with one dot more than was meant.
		C: This one came by telnet.
		C: .
		S: 250 2.0.0
		C: quit
		S: 221
		EOF
	`)
	// It is in the mailbox.
	m := organization.Next(w.t)
	for _, want := range []string{"X-Original-To: alice@example.com", "(Authenticated sender: edge)", "by edge.example.com with ESMTP",
		"Subject: typed", "\n\n. is a line with one dot more than was meant.\nThis one came by telnet.\n"} {
		if !strings.Contains(m, want) {
			w.t.Errorf("the mailbox has no %q in\n%s", want, m)
		}
	}
}

// outbound: a mailbox of the organization sends to a user of the internet, first
// while the edge cannot reach the internet, then when it can.
func (w *world) outbound(organization *peers.Postfix, mx string) {
	t := w.t
	if out, err := peers.Swaks(t, "--server", organization.Addr, "--tls", "--auth-user", "alice", "--auth-password", "alice's password",
		"--from", "alice@example.com", "--to", "carol@example.net", "--add-header", "Message-ID: <outbound@example.com>"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	// The organization's log shows that the edge has accepted the message.
	host, edgePort, _ := net.SplitHostPort(w.organization)
	taken := "relay=" + host + "[" + host + "]:" + edgePort
	peers.Await(t, "the edge to accept the message", func() bool {
		for line := range strings.Lines(organization.Log(t)) {
			if strings.Contains(line, "to=<carol@example.net>") && strings.Contains(line, taken) && strings.Contains(line, "status=sent (250 ") {
				return true
			}
		}
		return false
	})
	// The edge's queue shows that it waits.
	w.await("queue: deferred", 1)
	spooltool := peers.Build(t, "github.com/bridgehead-mail/bridgehead/examples/spooltool")
	peers.Await(t, "the message in the list of the queue", func() bool {
		list, err := exec.Command(spooltool, "list", w.dir+"/spool").CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(list)), "\n") // the first line is the heading
		return err == nil && len(lines) == 2 && strings.HasSuffix(lines[1], " example.net via internet")
	})
	// Connected to the internet, the edge delivers.
	internet := (&peers.Postfix{Domains: "example.net", Addr: mx}).Start(t)
	w.signal(syscall.SIGHUP)
	if m := internet.Next(t); !strings.Contains(m, "X-Original-To: carol@example.net") || !strings.Contains(m, "Message-ID: <outbound@example.com>") ||
		!strings.Contains(m, "by edge.example.com") {
		t.Errorf("the internet received\n%s", m)
	}
	w.await(`msg="queue: delivered"`, 2)
}

// inboundLogs: the test message is in the protocol logs of both sides of the edge
// and in message tracking.
func (w *world) inboundLogs() {
	inOrder(w.t, w.protocol("RECV", "internet"),
		"+", "> 220 edge.example.com", "< EHLO client.test", "> 250-edge.example.com", "> 250-SIZE", "< MAIL from:carol@example.net", "> 250 2.1.0",
		"< RCPT to:alice@example.com", "> 250 2.1.5", "< DATA", "> 354", "> 250 2.0.0", "< QUIT", "> 221", "-")
	inOrder(w.t, w.protocol("SEND", "organization"),
		"+", "< 220 mail.example.com", "> EHLO edge.example.com", "< 250-STARTTLS", "> STARTTLS", "< 220 2.0.0",
		"* CN=bridgehead.example.com Certificate subject", "* CN=bridgehead.example.com Certificate issuer name",
		"> EHLO edge.example.com", "< 250-AUTH", "> AUTH PLAIN <redacted>", "< 235 2.7.0", "> MAIL FROM:<carol@example.net>", "> RCPT TO:<alice@example.com>",
		"> DATA", "< 250 2.1.0", "< 250 2.1.5", "< 354", "< 250 2.0.0", "> QUIT", "-")
	w.tracked("alice@example.com", "RECEIVE internet", "BEGINTRANSFER organization", "SEND organization")
}

func (w *world) outboundLogs() {
	inOrder(w.t, w.protocol("RECV", "organization"),
		"+", "> 220 edge.example.com", "< EHLO mail.example.com", "< MAIL FROM:<alice@example.com>", "> 250 2.1.0",
		"< RCPT TO:<carol@example.net>", "> 250 2.1.5", "< DATA", "> 354", "> 250 2.0.0", "< QUIT", "> 221", "-")
	inOrder(w.t, w.protocol("SEND", "internet"),
		"+", "< 220 mail.example.net", "> EHLO edge.example.com", "> MAIL FROM:<alice@example.com>", "> RCPT TO:<carol@example.net>",
		"< 250 2.1.0", "< 250 2.1.5", "< 250 2.0.0", "-")
	w.tracked("carol@example.net", "RECEIVE organization", "DEFER internet", "BEGINTRANSFER internet", "SEND internet")
}
