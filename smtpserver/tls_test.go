package smtpserver_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func withTLS(t testing.TB, mode smtpserver.TLSMode) *smtpserver.Server {
	srv := generous()
	srv.TLSConfig, _ = smtptest.TLSConfig(t)
	srv.TLSMode = mode
	return srv
}

func TestSTARTTLS(t *testing.T) {
	srv := smtptest.NewServer(t, withTLS(t, smtpserver.TLSOffered))
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250 STARTTLS
		C: STARTTLS now
		S: 501 5.5.4
		C: STARTTLS
		S: 220 2.0.0
		TLS
		# All is forgotten.
		C: MAIL FROM:<a@example.com>
		S: 503 5.5.1 Say EHLO
		C: EHLO client.example
		S: 250 ENHANCEDSTATUSCODES
		C: STARTTLS
		S: 503 5.5.1 TLS is already active
		C: MAIL FROM:<a@example.com>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250
		C: QUIT
		S: 221
		EOF
	`)
	if p := srv.Inbox.Next(t).Protocol; p != "ESMTPS" {
		t.Errorf("protocol %q, want ESMTPS", p)
	}
}

func TestTLSRequired(t *testing.T) {
	srv := smtptest.NewServer(t, withTLS(t, smtpserver.TLSRequired))
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: MAIL FROM:<a@example.com>
		S: 530 5.7.0 Must issue a STARTTLS command first
		C: EHLO client.example
		S: 250 STARTTLS
		C: MAIL FROM:<a@example.com>
		S: 530 5.7.0
		C: BDAT 6 LAST
		C: QUIT
		S: 530 5.7.0
		C: XYZZY
		S: 530 5.7.0
		C: NOOP
		S: 250
		C: STARTTLS
		S: 220
		TLS
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<a@example.com>
		S: 250
		C: QUIT
		S: 221
		EOF
	`)
}

func TestTLSOff(t *testing.T) {
	srv := smtptest.NewServer(t, withTLS(t, smtpserver.TLSOff))
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: STARTTLS
		S: 502 5.5.1
	`)
}

func TestTLSImplicit(t *testing.T) {
	srv := smtptest.NewServer(t, withTLS(t, smtpserver.TLSImplicit))
	smtptest.Talk(t, srv.Addr, `
		TLS
		S: 220
		C: EHLO client.example
		S: 250
		C: STARTTLS
		S: 503
		C: QUIT
		S: 221
		EOF
	`)
}

// CVE-2011-0411: input that was sent in plain text together with STARTTLS is
// refused, or at least never executed.
func TestInjectionBeforeTLS(t *testing.T) {
	srv := smtptest.NewServer(t, withTLS(t, smtpserver.TLSOffered))
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: STARTTLS
		C: RSET
		S: 554 5.5.0
		EOF
	`)
	lax := withTLS(t, smtpserver.TLSOffered)
	lax.AllowEarlyInput = true
	srv = smtptest.NewServer(t, lax)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: STARTTLS
		C: VRFY injected
		S: 220
		TLS
		C: NOOP
		S: 250 2.0.0
		C: QUIT
		S: 221
		EOF
	`)
}

// A failed handshake ends the session. It does not continue in plain text.
func TestFailedHandshakeCloses(t *testing.T) {
	srv := smtptest.NewServer(t, withTLS(t, smtpserver.TLSOffered))
	begin := func() net.Conn {
		c, err := net.Dial("tcp", srv.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		smtptest.TalkOn(t, c, "S: 220\nC: EHLO client.example\nS: 250\nC: STARTTLS\nS: 220")
		return c
	}
	c := begin()
	if _, err := io.WriteString(c, "EHLO this is no client hello\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, syscall.ECONNRESET) { // a TLS alert, then the end
		t.Fatal(err)
	}
	c = begin()
	tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS10, MinVersion: tls.VersionTLS10})
	if err := tc.Handshake(); err == nil {
		t.Fatal("a TLS 1.0 handshake succeeded")
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("the server goes on after a failed handshake: %d bytes", n)
	}
	srv.Close()
	if got := srv.Counters().TLSFailed; got != 2 {
		t.Errorf("%d failed handshakes counted, want 2", got)
	}
}

func wonderland() smtpserver.Authenticator {
	return smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, password string) error {
		if user == "alice" && password == "wonderland" {
			return nil
		}
		return errors.New("wrong")
	})
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestPasswordAuth(t *testing.T) {
	s := withTLS(t, smtpserver.TLSOffered)
	s.Auth = wonderland()
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250 STARTTLS
		# Not offered and not possible without TLS.
		C: AUTH PLAIN `+b64("\x00alice\x00wonderland")+`
		S: 538 5.7.11
		C: STARTTLS
		S: 220
		TLS
		C: EHLO client.example
		S: 250 AUTH PLAIN LOGIN
		C: AUTH
		S: 501 5.5.4
		C: AUTH GSSAPI
		S: 504 5.5.4
		C: AUTH PLAIN %%%
		S: 501 5.5.2
		C: AUTH PLAIN
		S: 334
		C: *
		S: 501 5.7.0
		C: AUTH LOGIN
		S: 334 VXNlcm5hbWU6
		C: `+b64("alice")+`
		S: 334 UGFzc3dvcmQ6
		C: `+b64("wonderland")+`
		S: 235 2.7.0
		C: AUTH PLAIN
		S: 503 5.5.1
		C: MAIL FROM:<a@example.com> AUTH=a+2Bb@example.com
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
	m := srv.Inbox.Next(t)
	if m.Identity != "alice" || m.Protocol != "ESMTPSA" || m.Options.Auth == nil || *m.Options.Auth != "a+b@example.com" {
		t.Errorf("identity %q, protocol %q, AUTH= %v", m.Identity, m.Protocol, m.Options.Auth)
	}
}

func TestAuthWithoutTLS(t *testing.T) {
	s := generous()
	s.Auth, s.AllowInsecureAuth = wonderland(), true
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250 AUTH PLAIN LOGIN
		C: AUTH LOGIN `+b64("alice")+`
		S: 334 UGFzc3dvcmQ6
		C: `+b64("wonderland")+`
		S: 235
		# STARTTLS and RSET: only the latter keeps who the client is.
		C: RSET
		S: 250
		C: AUTH PLAIN
		S: 503
		C: QUIT
		S: 221
	`)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN `+b64("\x00alice\x00wonderland")+`
		S: 235
	`)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN `+b64("bob\x00alice\x00wonderland")+`
		S: 535 5.7.8
		C: AUTH PLAIN =
		S: 535
		C: MAIL FROM:<a@example.com> AUTH=<>
		S: 250
		C: RSET
		S: 250
		C: AUTH PLAIN `+b64("\x00alice\x00guess")+`
		S: 535
		S: 421 4.7.0
		EOF
	`)
	if n := srv.Counters().AuthFailed; n != 3 {
		t.Errorf("%d failed logins counted, want 3", n)
	}
}
