package main

import (
	"bufio"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const hello = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tANONYMOUS\tanonymous\nMECH\tX-PRIVATE\tprivate\nMECH\tSCRAM-SHA-256-PLUS\nSPID\t1\nCUID\t7\nCOOKIE\tabc\nDONE\n"

// scripted is an auth socket that sends a handshake, and an answer to each AUTH line.
func scripted(t testing.TB, handshake, answer string) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "auth")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte(handshake))
			for in := bufio.NewScanner(c); in.Scan(); {
				if strings.HasPrefix(in.Text(), "AUTH\t1\tPLAIN\tservice=smtp\t") {
					c.Write([]byte(answer))
					break
				}
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return socket
}

// Each answer of Dovecot has its reply: only a success with a user name lets a client in.
func TestDovecotAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		"OK\t1\tuser=alice\n":                       "235",
		"CUID\t9\nOK\t2\tuser=bob\nOK\t1\tuser=a\n": "235", // lines of other exchanges
		"OK\t1\tuser=proxied\tproxy\tnologin\n":     "235",
		"OK\t1\n":                                   "535",
		"OK\t1\tuser=\n":                            "535",
		"OK\t1\tuser=al\x01tice\n":                  "535",
		"OK\t1\tuser=alice\tnologin\n":              "535",
		"FAIL\t1\tuser=alice\n":                     "535",
		"FAIL\t1\tuser=alice\ttemp\n":               "454",
		"FAIL\t1\tuser=alice\tcode=temp_fail\n":     "454",
		"":                                          "454", // it has ended
		"OK\t1\tuser=alice":                         "454", // the line is not complete
		"CONT\t1\t***\n":                            "454",
		strings.Repeat("x", 2*dovecotLine) + "\n":   "454",
	} {
		srv := smtptest.NewServer(t, &smtpserver.Server{Auth: &dovecot{socket: scripted(t, hello, answer), log: slog.New(slog.DiscardHandler)},
			AllowInsecureAuth: true, Limits: smtpserver.Limits{Tarpit: -1}})
		smtptest.Talk(t, srv.Addr, "S: 220\nC: EHLO x.test\nS: 250 AUTH PLAIN\nC: AUTH PLAIN "+plain("alice", "x")+"\nS: "+want+"\nC: QUIT\nS: 221")
	}
}

// A handshake that is not that of an auth socket is an error, and only mechanisms that
// check a password are offered. Meanwhile clients get a temporary error.
func TestDovecotHandshake(t *testing.T) {
	for handshake, want := range map[string]string{
		hello: "",
		strings.Replace(hello, "VERSION\t1", "VERSION\t2", 1):           "version",
		strings.Replace(hello, "PLAIN\tplaintext", "PLAIN\tprivate", 1): "no mechanism",
		"VERSION\t1\t2\n":                     "EOF",
		strings.Repeat("MECH\tPLAIN\n", 2000): "does not end",
		"DONE\n":                              "version",
		strings.Repeat("x", 2*dovecotLine):    "buffer full",
	} {
		d := &dovecot{socket: scripted(t, handshake, ""), log: slog.New(slog.DiscardHandler)}
		if handshake == "VERSION\t1\t2\n" {
			d.socket = ended(t)
		}
		c, err := d.dial(t.Context())
		switch {
		case err == nil:
			c.conn.Close()
			if got := strings.Join(c.mechanisms, " "); want != "" || got != "PLAIN" {
				t.Errorf("%.40q: mechanisms %s", handshake, got)
			}
		case want == "" || !strings.Contains(err.Error(), want):
			t.Errorf("%.40q: %v, want %q", handshake, err, want)
		}
		if got := strings.Join(d.Mechanisms(nil), " "); err != nil && got != "PLAIN LOGIN" {
			t.Errorf("%.40q: %s is offered", handshake, got)
		}
	}
}

// ended is a socket that closes each connection in the handshake.
func ended(t *testing.T) (socket string) {
	socket = filepath.Join(t.TempDir(), "auth")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(c)
			in.ReadString('\n')
			in.ReadString('\n')
			c.Write([]byte("VERSION\t1\t2\n"))
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return socket
}

// Any lines of Dovecot end in a challenge, a login with a valid name, or an error.
func FuzzDovecot(f *testing.F) {
	f.Add("OK\t1\tuser=alice\n")
	f.Add("FAIL\t1\ttemp\nCONT\t1\tYQ==\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := &dovecotConn{in: bufio.NewReaderSize(strings.NewReader(text), dovecotLine)}
		challenge, done, err := (&exchange{dovecotConn: c, user: func(name string) {
			if name == "" || strings.Contains(name, "\x01") {
				t.Errorf("the user %q", name)
			}
		}}).answer()
		if err == nil && !done && challenge == nil && !strings.Contains(text, "CONT") {
			t.Errorf("no result of %q", text)
		}
		if err != nil && !errors.Is(err, errAuthDown) && !errors.Is(err, smtp.ErrAuthFailed) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
