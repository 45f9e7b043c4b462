package smtpserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Each line of a reply carries the enhanced code (RFC 2034, 4), and none is
// longer than 512 octets (RFC 5321, 4.5.3.1.5).
func TestRepliesOfSeveralLines(t *testing.T) {
	srv := generous()
	srv.Agents = []smtpserver.Agent{{Command: func(_ context.Context, _ *smtpserver.Session, verb, _ string) (*smtpserver.Reply, error) {
		if verb != "EXPN" {
			return nil, nil
		}
		return &smtpserver.Reply{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 1, 5},
			Lines: []string{"<a@example.com>", "<b@example.com>\r\n221 forged", strings.Repeat("x", 600)}}, nil
	}}}
	s := smtptest.NewServer(t, srv)
	c := dialRaw(t, s.Addr)
	c.greet()
	c.send("EXPN list\r\n")
	want := "250-2.1.5 <a@example.com>\n250-2.1.5 <b@example.com>\n250-2.1.5 221 forged\n250-2.1.5 " +
		strings.Repeat("x", 480) + "\n250 2.1.5 " + strings.Repeat("x", 120) + "\n"
	if got := c.reply(); got != want {
		t.Errorf("reply\n%s\nwant\n%s", got, want)
	}
}

// If an agent returns a reply to VRFY, HELP or ETRN, the server sends it.
func TestCommandHooks(t *testing.T) {
	srv := generous()
	srv.Enable = smtpserver.ExtVrfy | smtpserver.ExtExpn
	srv.Agents = []smtpserver.Agent{{
		Keywords: func(*smtpserver.Session) []string { return []string{"ETRN"} },
		Command: func(_ context.Context, _ *smtpserver.Session, verb, arg string) (*smtpserver.Reply, error) {
			switch {
			case verb == "VRFY" && arg == "bob":
				return &smtpserver.Reply{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 1, 5}, Lines: []string{"<bob@example.com>"}}, nil
			case verb == "VRFY" && arg == "nobody":
				return nil, noSuchUser
			case verb == "ETRN":
				return &smtpserver.Reply{Code: 253, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Lines: []string{"14 pending messages for " + arg + " started"}}, nil
			case verb == "HELP":
				return &smtpserver.Reply{Code: 214, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Lines: []string{"Help yourself"}}, nil
			case verb == "XGO":
				return nil, smtpserver.ErrClose
			}
			return nil, nil
		},
	}}
	s := smtptest.NewServer(t, srv)
	smtptest.Talk(t, s.Addr, `
		S: 220
		C: EHLO client.example
		S: 250 VRFY
		C: VRFY bob
		S: 250 2.1.5 <bob@example.com>
		C: VRFY nobody
		S: 550 5.1.1
		C: VRFY other
		S: 252 2.5.0
		C: EXPN list
		S: 502 5.5.1
		C: ETRN example.com
		S: 253 2.0.0 14 pending messages for example.com
		C: HELP
		S: 214 2.0.0 Help yourself
		C: XGO
		S: 421 4.3.2
		EOF
	`)
}

// An agent permits bare LF for the clients of one network.
func TestBareBytesByNetwork(t *testing.T) {
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{{Connect: func(_ context.Context, s *smtpserver.Session) error {
		if addr, err := netip.ParseAddrPort(s.RemoteAddr().String()); err == nil && addr.Addr() == netip.MustParseAddr("192.0.2.7") {
			s.SetBareBytes(smtpserver.BareNormalize)
		}
		return nil
	}}}, XClientFrom: loopback}
	s := smtptest.NewServer(t, srv)
	text := "Subject: x\r\n\r\nold\nprinter\r\n.\r\n"
	smtptest.Talk(t, s.Addr, send(text, "550 5.6.11"))
	smtptest.Talk(t, s.Addr, strings.Replace(send(text, "250"), "C: EHLO", "C: XCLIENT ADDR=192.0.2.7\n\t\tS: 220\n\t\tC: EHLO", 1))
	if got := s.Inbox.Next(t).Text; got != "Subject: x\r\n\r\nold\r\nprinter\r\n" {
		t.Errorf("content %q", got)
	}
}

// An agent sets a larger message size for one client.
func TestMaxMessageSizeBySession(t *testing.T) {
	srv := &smtpserver.Server{Limits: smtpserver.Limits{MessageSize: 10}, Agents: []smtpserver.Agent{{
		Helo: func(_ context.Context, s *smtpserver.Session, name string) error {
			if name == "trusted.example" {
				s.SetMaxMessageSize(0)
			}
			return nil
		}}}}
	s := smtptest.NewServer(t, srv)
	text := "Subject: longer than ten bytes\r\n\r\n.\r\n"
	smtptest.Talk(t, s.Addr, send(text, "552 5.3.4"))
	smtptest.Talk(t, s.Addr, strings.Replace(send(text, "250"), "client.example", "trusted.example", 1))
}

// The same events go to slog.
func TestSlogProtocolLog(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	s := smtptest.NewServer(t, &smtpserver.Server{ProtocolLog: smtpserver.SlogProtocolLog(logger, slog.LevelInfo)})
	smtptest.Talk(t, s.Addr, "S: 220\nC: QUIT\nS: 221\nEOF")
	s.Close()
	for _, want := range []string{"event=+", `event=> data="220 test.example ESMTP"`, "event=< data=QUIT", "event=-"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

// An attacker sends a large message without an end in each of many sessions.
// The server does not use more memory than TotalMemory.
func TestMemoryUnderAttack(t *testing.T) {
	const sessions, each, budget = 200, 200 << 10, 2 << 20
	arrived := make(chan bool, sessions)
	s := smtptest.NewServer(t, &smtpserver.Server{
		Limits: smtpserver.Limits{TotalMemory: budget},
		Agents: []smtpserver.Agent{{EndOfHeaders: func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
			arrived <- true
			return nil
		}}},
	})
	before := heap()
	text := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 98)+"\r\n", each/100)
	for range sessions {
		c := dialRaw(t, s.Addr)
		c.greet()
		c.begin()
		c.send(text)
		<-arrived
	}
	// In addition to TotalMemory, each session needs memory for its connection
	// and a small header.
	if grown := heap() - before; grown > 2*budget+sessions*(16<<10) {
		t.Errorf("%d sessions with %d KiB each cost %d KiB of heap", sessions, each>>10, grown>>10)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// With TLSImplicit, the server refuses connections above the limits without a
// TLS handshake.
func TestNoHandshakeAboveLimits(t *testing.T) {
	srv := withTLS(t, smtpserver.TLSImplicit)
	srv.Limits = smtpserver.Limits{ConnectionsPerAddr: 1, Exempt: []netip.Prefix{}}
	s := smtptest.NewServer(t, srv)
	first, err := tls.Dial("tcp", s.Addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	newRaw(t, first).expect("220")
	second := dialRaw(t, s.Addr)
	if b, err := io.ReadAll(second); len(b) > 0 || err != nil {
		t.Errorf("the server says %q, %v", b, err)
	}
	if n := s.Counters().Refusals["limits"]; n != 1 {
		t.Errorf("%d refusals counted", n)
	}
}
