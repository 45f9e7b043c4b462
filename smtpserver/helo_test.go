package smtpserver_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/xtext"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Devices have names that are not domain names. Postfix 3.7 also accepts these.
var deviceNames = map[string]string{
	"my printer":                     "my%20printer",
	"Canon_iR-ADV(2)":                "Canon_iR-ADV%282%29",
	"(none)":                         "%28none%29",
	`DOM\pc`:                         "DOM%5Cpc",
	"<pc>":                           "%3Cpc%3E",
	"Jürgen-PC":                      "J%C3%BCrgen-PC",
	"J\xfcrgen-PC":                   "J%FCrgen-PC",
	"a\tb":                           "a%09b",
	"\u0085\u2028\u202ex":            "%C2%85%E2%80%A8%E2%80%AEx",
	`=cmd|'/c calc'!A1`:              "%3Dcmd%7C%27/c%20calc%27%21A1",
	`x by y; 1 Jan 2026 (c) <d@e>,"`: "x%20by%20y%3B%201%20Jan%202026%20%28c%29%20%3Cd%40e%3E%2C%22",
	strings.Repeat("ü", 127):         strings.Repeat("%C3%BC", 42) + "%C3",
	// As before.
	"client.example":     "client.example",
	"WIN_2003$":          "WIN_2003$",
	"[192.0.2.1]":        "[192.0.2.1]",
	"[IPv6:2001:db8::1]": "[IPv6:2001:db8::1]",
}

// The server checks a name as it was received. Replies, logs and the protocol
// log contain only its encoded form.
func TestHeloNamesOfDevices(t *testing.T) {
	for _, verb := range []string{"HELO", "EHLO", "LHLO", "XCLIENT"} {
		for name, safe := range deviceNames {
			var logged bytes.Buffer
			log := new(said)
			received := make(chan string, 10)
			s := generous()
			s.LMTP, s.ProtocolLog, s.Logger, s.XClientFrom = verb == "LHLO", log, slog.New(slog.NewTextHandler(&logged, nil)), loopback
			s.Agents = []smtpserver.Agent{{
				Connect: func(_ context.Context, s *smtpserver.Session) error {
					received <- s.RawHelo()
					return nil
				},
				Helo: func(_ context.Context, s *smtpserver.Session, name string) error {
					received <- name
					received <- s.RawHelo()
					return nil
				}}}
			srv := smtptest.NewServer(t, s)
			conn := dialRaw(t, srv.Addr)
			conn.expect("220")
			<-received
			var reply string
			if verb == "XCLIENT" {
				conn.send("XCLIENT ADDR=192.0.2.7 HELO=" + xtext.Encode(name) + "\r\n")
				conn.expect("220")
			} else {
				conn.send(verb + " " + name + "\r\n")
				if reply = conn.reply(); !strings.HasPrefix(reply, "250") {
					t.Fatalf("%s %q: %q", verb, name, reply)
				}
				if got := <-received; got != name {
					t.Errorf("%s %q: the agent gets %q", verb, name, got)
				}
			}
			if got := <-received; got != name {
				t.Errorf("%s %q: RawHelo is %q", verb, name, got)
			}
			if verb != "XCLIENT" {
				conn.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
				conn.expect("250", "250", "354")
				conn.send(".\r\n")
				conn.expect("250")
				if got := srv.Inbox.Next(t).Helo; got != safe {
					t.Errorf("%s %q: Helo is %q, want %q", verb, name, got, safe)
				}
			}
			conn.send("QUIT\r\n")
			conn.expect("221")
			conn.gone()
			srv.Close()
			if verb == "EHLO" && !strings.Contains(reply, "greets "+safe+"\n") {
				t.Errorf("%s %q: reply %q", verb, name, reply)
			}
			lines := reply + logged.String()
			for _, e := range log.events {
				if verb == "XCLIENT" {
					break // the name is xtext there
				}
				lines += e.Data + "\n" + e.Context + "\n"
			}
			if verb != "XCLIENT" && !strings.Contains(lines, verb+" "+safe+"\n") {
				t.Errorf("%s %q: the protocol log is without the name:\n%s", verb, name, lines)
			}
			if name != safe && strings.Contains(lines, name) {
				t.Errorf("%s %q is written as it is:\n%s", verb, name, lines)
			}
		}
	}
}

// An empty name and a name that cannot be encoded are refused.
func TestInvalidHeloNames(t *testing.T) {
	for _, name := range []string{"", " \t", strings.Repeat("a", 256), strings.Repeat("ü", 128)} {
		for _, verb := range []string{"HELO", "EHLO"} {
			srv := smtptest.NewServer(t, nil)
			smtptest.Talk(t, srv.Addr, fmt.Sprintf("S: 220\nR: %q\nS: 501 5.5.4\nC: MAIL FROM:<a@example.com>\nS: 503", verb+" "+name+"\r\n"))
		}
	}
	for _, name := range []string{"a\x00b", "a\rb", "a\x1b[31mb", "a\x7fb"} {
		srv := smtptest.NewServer(t, nil)
		smtptest.Talk(t, srv.Addr, fmt.Sprintf("S: 220\nR: %q\nS: 500 5.5.2\nC: MAIL FROM:<a@example.com>\nS: 503", "EHLO "+name+"\r\n"))
		s := generous()
		s.XClientFrom = loopback
		srv = smtptest.NewServer(t, s)
		smtptest.Talk(t, srv.Addr, "S: 220\nC: XCLIENT ADDR=192.0.2.7 HELO="+xtext.Encode(name)+"\nS: 501 5.5.4 Bad XCLIENT attribute")
	}
}

func TestStrictHelo(t *testing.T) {
	for name, safe := range deviceNames {
		s := generous()
		s.StrictHelo, s.XClientFrom = true, loopback
		srv := smtptest.NewServer(t, s)
		conn := dialRaw(t, srv.Addr)
		conn.expect("220")
		conn.send("EHLO " + name + "\r\n")
		conn.expect(map[bool]string{true: "250", false: "501 5.5.4"}[name == safe])
		conn.send("XCLIENT ADDR=192.0.2.7 HELO=" + xtext.Encode(name) + "\r\n")
		conn.expect(map[bool]string{true: "220", false: "501 5.5.4"}[name == safe])
	}
}
