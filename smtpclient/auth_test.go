package smtpclient

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// login returns the script of a host that offers AUTH with mechanisms.
func login(mechanisms string) string {
	return "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250-PIPELINING\nS: 250 AUTH " + mechanisms + "\n"
}

func TestAuth(t *testing.T) {
	const accepted = "\nS: 235 2.7.0 welcome\n" + one + quit
	password := PasswordAuth("alice", "won,der=land")
	token := TokenAuth("alice@example.com", func(context.Context) (string, error) { return "T0K3N", nil })
	for _, tt := range []struct {
		name   string
		auth   Authenticator
		script string
		want   string
	}{
		{name: "PLAIN", auth: password, script: login("LOGIN PLAIN") + "C: AUTH PLAIN " + b64("\x00alice\x00won,der=land") + accepted, want: queued},
		{name: "LOGIN", auth: password, want: queued,
			script: login("login") + "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: " + b64("alice") + "\nS: 334 " + b64("Passwort bitte") + "\nC: " + b64("won,der=land") + accepted},
		{name: "AUTH= of old servers", auth: password, want: queued,
			script: "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250-PIPELINING\nS: 250 AUTH=PLAIN LOGIN\nC: AUTH PLAIN " + b64("\x00alice\x00won,der=land") + accepted},
		{name: "OAUTHBEARER", auth: token, want: queued,
			script: login("XOAUTH2 OAUTHBEARER") + "C: AUTH OAUTHBEARER " + b64("n,a=alice@example.com,\x01host=mx1.example.net\x01auth=Bearer T0K3N\x01\x01") + accepted},
		{name: "XOAUTH2", auth: token, want: queued,
			script: login("XOAUTH2 PLAIN") + "C: AUTH XOAUTH2 " + b64("user=alice@example.com\x01auth=Bearer T0K3N\x01\x01") + accepted},
		{name: "OAUTHBEARER refused", auth: token, want: "unreachable 535 5.7.8 no [mx1.example.net]",
			script: login("OAUTHBEARER") + "C: <any>\nS: 334 " + b64(`{"status":"invalid_token"}`) + "\nC: AQ==\nS: 535 5.7.8 no" + quit},
		{name: "XOAUTH2 refused", auth: token, want: "unreachable 535 5.7.8 no [mx1.example.net]",
			script: login("XOAUTH2") + "C: <any>\nS: 334 " + b64(`{"status":"400"}`) + "\nC: <any>\nS: 535 5.7.8 no" + quit},
		{name: "EXTERNAL", auth: ExternalAuth(""), script: login("EXTERNAL") + "C: AUTH EXTERNAL =" + accepted, want: queued},
		{name: "wrong password", auth: password, want: "unreachable 535 5.7.8 wrong [mx1.example.net]",
			script: login("PLAIN") + "C: <any>\nS: 535 5.7.8 wrong" + quit},
		{name: "temporary failure", auth: password, want: "unreachable 451 0.0.0 5.7.3 Cannot achieve Exchange Server authentication [mx1.example.net]", // the class is not that of 451
			script: login("PLAIN") + "C: <any>\nS: 451 5.7.3 Cannot achieve Exchange Server authentication" + quit},
		{name: "no AUTH", auth: password, script: ehlo + "C: <eof>",
			want: `unreachable 451 4.7.4 mx1.example.net (192.0.2.1:25): AUTH: no acceptable authentication mechanism: the host offers []`},
		{name: "no mechanism in common", auth: password, script: login("GSSAPI NTLM") + "C: <eof>",
			want: `unreachable 451 4.7.4 mx1.example.net (192.0.2.1:25): AUTH: no acceptable authentication mechanism: the host offers ["GSSAPI" "NTLM"]`},
		{name: "endless challenges", auth: token, script: login("XOAUTH2") + "C: <any>\n" + strings.Repeat("S: 334 eHg=\nC: <any>\n", maxAuthRounds) + "S: 334 eHg=\nC: <eof>",
			want: "unreachable 451 4.5.0 mx1.example.net (192.0.2.1:25): AUTH XOAUTH2: more than 16 challenges"},
		{name: "challenge is not base64", auth: password, script: login("SCRAM-SHA-256 PLAIN") + "C: <any>\nS: 334 ?\nC: <eof>",
			want: "unreachable 451 4.5.0 mx1.example.net (192.0.2.1:25): AUTH SCRAM-SHA-256: challenge is not base64"},
		{name: "LOGIN, challenges of text", auth: password, want: queued,
			script: login("LOGIN") + "C: AUTH LOGIN\nS: 334 Username:\nC: " + b64("alice") + "\nS: 334 Password:\nC: " + b64("won,der=land") + accepted},
		{name: "LOGIN, challenges without padding", auth: password, want: queued,
			script: login("LOGIN") + "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU\nC: " + b64("alice") + "\nS: 334 UGFzc3dvcmQ\nC: " + b64("won,der=land") + accepted},
		{name: "LOGIN, no challenges", auth: password, want: queued,
			script: login("LOGIN") + "C: AUTH LOGIN\nS: 334\nC: " + b64("alice") + "\nS: 334 \nC: " + b64("won,der=land") + accepted},
		{name: "LOGIN, the same challenge twice", auth: password, want: queued,
			script: login("LOGIN") + "C: AUTH LOGIN\nS: 334 UGFzc3dvcmQ6\nC: " + b64("alice") + "\nS: 334 UGFzc3dvcmQ6\nC: " + b64("won,der=land") + accepted},
		{name: "XOAUTH2, error that is not base64", auth: token, want: "unreachable 535 5.7.8 no [mx1.example.net]",
			script: login("XOAUTH2") + "C: <any>\nS: 334 expired token\nC: <any>\nS: 535 5.7.8 no" + quit},
		{name: "OAUTHBEARER refused, XOAUTH2", auth: token, want: queued,
			script: login("OAUTHBEARER XOAUTH2") + "C: <any>\nS: 334 eHg=\nC: AQ==\nS: 535 5.7.8 no\nC: AUTH XOAUTH2 " + b64("user=alice@example.com\x01auth=Bearer T0K3N\x01\x01") + accepted},
		{name: "one challenge too many", auth: password, script: login("PLAIN") + "C: <any>\nS: 334 \nC: *\nS: 501 5.7.0 cancelled" + quit,
			want: "unreachable 501 5.7.0 cancelled [mx1.example.net]"},
		{name: "250 instead of 235", auth: password, script: login("PLAIN") + "C: <any>\nS: 250 fine\n" + one + quit, want: queued},
		{name: "354 instead of 235", auth: password, script: login("PLAIN") + "C: <any>\nS: 354 fine\nC: <eof>",
			want: `unreachable 451 4.5.0 mx1.example.net (192.0.2.1:25): AUTH PLAIN: unexpected reply 354 "fine"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			n.host("192.0.2.1:25", tt.script)
			tr := n.transport()
			tr.Auth, tr.AllowInsecureAuth = tt.auth, true
			var logged bytes.Buffer
			tr.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
			protocol := NewProtocolLog(&logged)
			tr.ProtocolLog = protocol
			rs := tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))
			expect(t, rs, tt.want)
			tr.Close()
			protocol.Flush()
			text := logged.String() + summary(rs)
			if rs[0].Err != nil {
				text += rs[0].Err.Error()
			}
			for _, secret := range []string{"won,der", b64("won,der=land"), b64("\x00alice\x00won,der=land"), "T0K3N", b64("user=alice@example.com\x01auth=Bearer T0K3N\x01\x01")} {
				if strings.Contains(text, secret) {
					t.Errorf("secret %q in %s", secret, text)
				}
			}
		})
	}
}

// A password is sent only to the right host: not in plain text, and not to
// another host that has a certificate.
func TestAuthNeedsTLS(t *testing.T) {
	t.Run("no TLS", func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", login("PLAIN")+quit)
		tr := n.transport()
		tr.Auth = PasswordAuth("alice", "wonderland")
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")),
			"unreachable 451 4.7.4 mx1.example.net (192.0.2.1:25): TLS policy domain for mx1.example.net: the host does not offer STARTTLS")
	})
	t.Run("no TLS at a level that lets it pass", func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", login("PLAIN")+quit)
		tr := n.transport()
		tr.Auth, tr.TLS.Level = PasswordAuth("alice", "wonderland"), TLSOpportunistic
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")),
			"unreachable 451 4.7.4 mx1.example.net (192.0.2.1:25): TLS policy opportunistic for mx1.example.net: no authentication without TLS (see AllowInsecureAuth)")
	})
	t.Run("unknown certificate", func(t *testing.T) {
		n := newNetwork(t)
		n.tls = server(newAuthority(t, "stranger").issue(nil, "mx1.example.net"))
		n.host("192.0.2.1:25", offer)
		tr := n.transport()
		tr.Auth, tr.TLSConfig = PasswordAuth("alice", "wonderland"), newAuthority(t, "CA").roots()
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), "unreachable 451 4.7.5 ...")
	})
	t.Run("known certificate", func(t *testing.T) {
		ca := newAuthority(t, "CA")
		n := newNetwork(t)
		n.tls = server(ca.issue(nil, "mx1.example.net"))
		n.host("192.0.2.1:25", offer+`
			C: EHLO relay.example
			S: 250-mx
			S: 250-PIPELINING
			S: 250 AUTH PLAIN
			C: AUTH PLAIN `+b64("\x00alice\x00wonderland")+`
			S: 235 2.7.0 welcome
			C: MAIL FROM:<a@example.com> AUTH=a+2Bb@example.com
			C: RCPT TO:<b@example.net>
			C: DATA
			S: 250 ok
			S: 250 ok
			S: 354 go ahead
			C: <content>
			S: 250 2.0.0 queued`+quit)
		tr := n.transport()
		tr.Auth, tr.TLSConfig = PasswordAuth("alice", "wonderland"), ca.roots()
		m := mail("x\r\n", "b@example.net")
		m.Options.Auth = ptr("a+b@example.com")
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), m), queued)
	})
}

// The exchange of RFC 7677, 3.
func TestSCRAM(t *testing.T) {
	const (
		serverFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
		serverFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
	)
	start := func() *scram {
		c, err := newSCRAMNonce("user", "pencil", "rOprNGfwEbeRWgbNEkqO")
		if err != nil {
			t.Fatal(err)
		}
		mech, ir, err := c.Start()
		if mech != "SCRAM-SHA-256" || string(ir) != "n,,n=user,r=rOprNGfwEbeRWgbNEkqO" || err != nil {
			t.Fatalf("%s %q %v", mech, ir, err)
		}
		return c.(*scram)
	}
	c := start()
	final, err := c.Next([]byte(serverFirst))
	if want := "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="; string(final) != want || err != nil {
		t.Fatalf("client-final %q %v", final, err)
	}
	if c.Done() == nil {
		t.Error("done before the host's proof")
	}
	if _, err := c.Next([]byte(serverFinal)); err != nil || c.Done() != nil {
		t.Errorf("server-final: %v, %v", err, c.Done())
	}
	if _, err := c.Next(nil); err == nil {
		t.Error("a third challenge was answered")
	}

	for _, bad := range []string{
		"", "r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096", "r=another,s=W22Z,i=4096",
		strings.Replace(serverFirst, "i=4096", "i=1", 1), strings.Replace(serverFirst, "i=4096", "i=999999999", 1),
		strings.Replace(serverFirst, "s=W22", "s=!", 1),
	} {
		if _, err := start().Next([]byte(bad)); err == nil {
			t.Errorf("server-first %q was accepted", bad)
		}
	}
	for _, bad := range []string{"v=AAAA", "e=invalid-proof", ""} {
		c := start()
		c.Next([]byte(serverFirst))
		if _, err := c.Next([]byte(bad)); err == nil || c.Done() == nil {
			t.Errorf("server-final %q was accepted", bad)
		}
	}
}

// For any challenge, the client does not answer a nonce that does not begin with
// its own, and does not accept a host without its proof.
func FuzzSCRAM(f *testing.F) {
	f.Add("r=NONCEx,s=c2FsdA==,i=4096", "v=AAAA")
	f.Add("r=NONCE,s=,i=", "e=other-error")
	f.Add("m=ext,r=NONCEy,s=c2FsdA==,i=4096", "")
	f.Add(",,,===", "v==,v=")
	f.Fuzz(func(t *testing.T, first, final string) {
		c, err := newSCRAMNonce("user", "pencil", "NONCE")
		if err != nil {
			t.Fatal(err)
		}
		c.Start()
		s := c.(*scram)
		if strings.Contains(first, "i=") && len(attributes(first)["i"]) > 5 {
			return // the work that a host may ask for is tested elsewhere
		}
		if answer, err := c.Next([]byte(first)); err == nil && !strings.HasPrefix(attributes(first)["r"], "NONCE") {
			t.Fatalf("%q was answered with %q", first, answer)
		}
		c.Next([]byte(final))
		if s.Done() == nil && attributes(final)["v"] == "" {
			t.Fatalf("%q then %q was accepted", first, final)
		}
	})
}

// A host that replies 235 but has not proved that it knows the password is
// refused.
func TestSCRAMWithoutProof(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", login("PLAIN SCRAM-SHA-256")+"C: <any>\nS: 235 2.7.0 welcome\nC: <eof>")
	tr := n.transport()
	tr.Auth, tr.AllowInsecureAuth = PasswordAuth("alice", "wonderland"), true
	expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")),
		"unreachable 451 4.4.2 mx1.example.net (192.0.2.1:25): AUTH SCRAM-SHA-256: the host reported success but did not prove that it knows the password")
}

// If there is no token, no session is opened, and the error has the reason.
func TestTokenFails(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", login("XOAUTH2")+"C: <eof>")
	tr := n.transport()
	failed := errors.New("token endpoint is down")
	tr.Auth, tr.AllowInsecureAuth = TokenAuth("alice", func(context.Context) (string, error) { return "", failed }), true
	rs := tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))
	expect(t, rs, "unreachable 451 4.4.2 ...")
	if !errors.Is(rs[0].Err, failed) {
		t.Errorf("error %v", rs[0].Err)
	}
}
