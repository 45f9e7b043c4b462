package smtpclient

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// With any mechanism, an initial response that makes the line longer than 512
// octets is sent after the 334 (RFC 4954, 4).
func TestLongInitialResponse(t *testing.T) {
	token := func(n int) Authenticator {
		return TokenAuth("alice@example.com", func(context.Context) (string, error) { return strings.Repeat("t", n), nil })
	}
	for _, tt := range []struct {
		mechanism string
		auth      Authenticator
		response  string
		challenge string // of the 334 to the command
		staged    bool
	}{
		// "AUTH PLAIN " and CRLF are 13 octets, which leaves 499: 496 of base64
		// are 372 octets.
		{"PLAIN", PasswordAuth("alice", strings.Repeat("p", 365)), "\x00alice\x00" + strings.Repeat("p", 365), "", false},
		{"PLAIN", PasswordAuth("alice", strings.Repeat("p", 366)), "\x00alice\x00" + strings.Repeat("p", 366), "", true},
		{"PLAIN", PasswordAuth("alice", strings.Repeat("p", 366)), "\x00alice\x00" + strings.Repeat("p", 366), " go on", true},
		{"XOAUTH2", token(1800), "user=alice@example.com\x01auth=Bearer " + strings.Repeat("t", 1800) + "\x01\x01", " ", true},
		{"XOAUTH2", token(180), "user=alice@example.com\x01auth=Bearer " + strings.Repeat("t", 180) + "\x01\x01", "", false},
		{"OAUTHBEARER", token(1800), "n,a=alice@example.com,\x01host=mx1.example.net\x01auth=Bearer " + strings.Repeat("t", 1800) + "\x01\x01", " =", true},
		{"EXTERNAL", ExternalAuth(strings.Repeat("i", 400)), strings.Repeat("i", 400), "", true},
	} {
		t.Run(fmt.Sprintf("%s %d", tt.mechanism, len(tt.response)), func(t *testing.T) {
			script := login(tt.mechanism) + "C: AUTH " + tt.mechanism + " " + b64(tt.response)
			if tt.staged {
				script = login(tt.mechanism) + "C: AUTH " + tt.mechanism + "\nS: 334" + tt.challenge + "\nC: " + b64(tt.response)
			}
			n := newNetwork(t)
			n.host("192.0.2.1:25", script+"\nS: 235 2.7.0 welcome\n"+one+quit)
			tr := n.transport()
			tr.Auth, tr.AllowInsecureAuth = tt.auth, true
			expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
		})
	}
	t.Run("SCRAM-SHA-256", func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", login("SCRAM-SHA-256")+"C: AUTH SCRAM-SHA-256\nS: 334 \nC: <any>\nS: 535 5.7.8 who?"+quit)
		tr := n.transport()
		tr.Auth, tr.AllowInsecureAuth = PasswordAuth(strings.Repeat("a", 400), "x"), true
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), "unreachable 535 5.7.8 who? [mx1.example.net]")
	})
	t.Run("refused before the response", func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", login("XOAUTH2")+"C: AUTH XOAUTH2\nS: 504 5.5.4 not here"+quit)
		tr := n.transport()
		tr.Auth, tr.AllowInsecureAuth = token(1800), true
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), "unreachable 504 5.5.4 not here [mx1.example.net]")
	})
}

// If a mechanism is refused, the client tries the next one; if the host has closed
// the connection, on a new connection.
func TestNextMechanism(t *testing.T) {
	const (
		scram    = "C: <any>\nS: 535 5.7.8 no such verifier\n"
		accepted = "\nS: 235 2.7.0 welcome\n" + one + quit
	)
	plain, all := "C: AUTH PLAIN "+b64("\x00alice\x00secret"), login("SCRAM-SHA-256 PLAIN LOGIN")
	loginTo := "C: AUTH LOGIN\nS: 334 \nC: " + b64("alice") + "\nS: 334 \nC: " + b64("secret")
	for _, tt := range []struct {
		name    string
		scripts []string
		allowed []string
		want    string
	}{
		{"in the same session", []string{all + scram + plain + accepted}, nil, queued},
		{"a temporary refusal", []string{all + "C: <any>\nS: 454 4.7.0 not now\n" + plain + accepted}, nil, queued},
		{"the third", []string{all + scram + plain + "\nS: 504 5.5.4 no\n" + loginTo + accepted}, nil, queued},
		{"the host closes", []string{all + scram + "S: <close>", all + plain + accepted}, nil, queued},
		{"the host closes in the next", []string{all + scram + plain + "\nS: <close>", all + plain + accepted}, nil, queued},
		{"421 to the next", []string{all + scram + plain + "\nS: 421 4.7.0 only one\nS: <close>", all + plain + accepted}, nil, queued},
		{"the host closes each time", []string{all + scram + "S: <close>", all + plain + "\nS: 535 5.7.8 no\nS: <close>", all + loginTo + accepted}, nil, queued},
		{"all are refused", []string{all + scram + plain + "\nS: 535 5.7.8 wrong password\n" + loginTo + "\nS: 504 5.5.4 what?" + quit}, nil,
			"unreachable 535 5.7.8 wrong password [mx1.example.net]"},
		{"all are refused, on connections of their own", []string{all + scram + "S: <close>", all + plain + "\nS: 535 5.7.8 wrong password\nS: <close>", all + loginTo + "\nS: 535 5.7.8 wrong again" + quit}, nil,
			"unreachable 535 5.7.8 wrong again [mx1.example.net]"},
		{"the last connection says nothing", []string{all + scram + "S: <close>", all + "C: <any>\nS: <close>"}, nil,
			"unreachable 451 4.4.2 mx1.example.net (192.0.2.1:25): reply to AUTH PLAIN: EOF"},
		{"421 to the first is no refusal", []string{all + "C: <any>\nS: 421 4.3.2 bye\nS: <close>"}, nil,
			"unreachable 421 4.3.2 bye [mx1.example.net]"},

		{"allowed", []string{all + loginTo + accepted}, []string{"login", "XOAUTH2"}, queued},
		{"not offered", []string{all + "C: <eof>"}, []string{"CRAM-MD5"},
			`unreachable 451 4.7.4 mx1.example.net (192.0.2.1:25): AUTH: no acceptable authentication mechanism: the host offers ["SCRAM-SHA-256" "PLAIN" "LOGIN"], only ["CRAM-MD5"] are allowed`},
		{"the next one is not allowed", []string{all + scram + quit}, []string{"SCRAM-SHA-256"},
			"unreachable 535 5.7.8 no such verifier [mx1.example.net]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			n.buffered = true
			n.host("192.0.2.1:25", tt.scripts...)
			tr := n.transport()
			tr.Auth, tr.AllowInsecureAuth = PasswordAuth("alice", "secret"), true
			if tt.allowed != nil {
				tr.Auth = Mechanisms(tr.Auth, tt.allowed...)
			}
			expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), tt.want)
		})
	}
}

// A host that does not prove that it knows the password does not get it with
// another mechanism.
func TestNoNextMechanismWithoutProof(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", login("SCRAM-SHA-256 PLAIN")+"C: <any>\nS: 334 "+b64("r=x,s=eA==,i=4096")+"\nC: *\nS: 501 5.7.0 cancelled"+quit)
	tr := n.transport()
	tr.Auth, tr.AllowInsecureAuth = PasswordAuth("alice", "secret"), true
	expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), "unreachable 501 5.7.0 cancelled [mx1.example.net]")
}
