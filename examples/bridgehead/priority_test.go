package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The partner gets only mail of the priorities in the settings: by MT-PRIORITY, and by
// the header if a setting says so. The sender of other mail gets a report.
func TestPartnerPriorities(t *testing.T) {
	cert := smtptest.Certificate(t, "mx.army.mil")
	partner := smtptest.NewServer(t, &smtpserver.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}})
	l, err := net.Listen("tcp", memberAddr+":0")
	if err != nil {
		t.Fatal(err)
	}
	inbox := smtptest.NewInbox()
	srv := &smtpserver.Server{Hostname: "member.example.com", Handler: inbox}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	_, port, _ := net.SplitHostPort(partner.Addr)
	dns := dnstest.New(t, "mx.army.mil. A 127.0.0.1\n")
	start := func(more ...string) *peers.Process {
		return peers.StartSelf(t, asMain, 1, append(more, "-listen", "127.0.0.1:0", "-member", "example.com="+l.Addr().String(), "-partner", "mx.army.mil:"+port,
			"-partner-roots", rootsFile(t, []tls.Certificate{cert}), "-hostname", "bridgehead.example.com", "-spool", t.TempDir(), "-dns", dns.Addr)...)
	}
	send := func(p *peers.Process, field string, arrives bool) {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(memberAddr)}}
		conn, err := d.DialContext(t.Context(), "tcp", p.Addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		smtptest.TalkOn(t, conn, fmt.Sprintf(`
			S: 220
			C: EHLO member.example.com
			S: 250
			C: MAIL FROM:<alice@example.com>
			S: 250
			C: RCPT TO:<general@army.mil>
			S: 250
			C: DATA
			S: 354
			C: %s
			C: Subject: orders
			C:
			C: .
			S: 250
			C: QUIT
			S: 221
		`, field))
		if arrives {
			if m := partner.Inbox.Next(t); !strings.Contains(m.Text, field) {
				t.Errorf("%s: the partner received\n%s", field, m.Text)
			}
			return
		}
		if m := inbox.Next(t); m.From != "" || !strings.Contains(m.Text, "5.7.1") || !strings.Contains(m.Text, "general@army.mil") {
			t.Errorf("%s: the member received\n%s", field, m.Text)
		}
	}
	p := start("-partner-priorities", "high,normal")
	send(p, "Importance: low", true)
	p.Stop(t)
	p = start("-partner-priorities", "high,normal", "-partner-header-priority")
	send(p, "Importance: low", false)
	send(p, "X-Priority: 5 (Lowest)", false)
	send(p, "Priority: urgent", true)
	send(p, "X-Mailer: none", true)
	p.Stop(t)
}
