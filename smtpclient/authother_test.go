package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
)

// otherAuth is an Authenticator of another package.
type otherAuth struct{ invalid error }

func (*otherAuth) Identity() string { return "alice" }

func (a *otherAuth) Validate() error { return a.invalid }

func (*otherAuth) Start(context.Context, string, []string, *tls.ConnectionState) (sasl.Client, error) {
	return new(textFirst), nil
}

// textFirst is a mechanism whose first challenge may be text, as that of NTLM.
type textFirst struct{ challenges []string }

func (*textFirst) Start() (string, []byte, error) { return "X", nil, nil }

func (x *textFirst) IgnoresChallenge() bool { return len(x.challenges) == 0 }

func (x *textFirst) Next(challenge []byte) ([]byte, error) {
	x.challenges = append(x.challenges, string(challenge))
	return []byte("r"), nil
}

func (x *textFirst) Done() error {
	if len(x.challenges) != 2 || x.challenges[1] != "c" {
		return errors.New("too early")
	}
	return nil
}

func TestMechanismOfAnotherPackage(t *testing.T) {
	start := login("X") + "C: AUTH X\nS: 334 x supported\nC: " + b64("r") + "\n"
	for _, tt := range []struct{ script, want string }{
		{start + "S: 334 " + b64("c") + "\nC: " + b64("r") + "\nS: 235 2.7.0 welcome\n" + one + quit, queued},
		{start + "S: 334 x supported\nC: <eof>", "unreachable 451 4.5.0 mx1.example.net (192.0.2.1:25): AUTH X: challenge is not base64"},
		{start + "S: 235 2.7.0 welcome\nC: <eof>", "unreachable 451 4.4.2 mx1.example.net (192.0.2.1:25): AUTH X: too early"},
	} {
		n := newNetwork(t)
		n.host("192.0.2.1:25", tt.script)
		tr := n.transport()
		tr.Auth, tr.AllowInsecureAuth = Mechanisms(new(otherAuth), "X"), true
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), tt.want)
		tr.Close()
	}
}

func TestValidateOfAnotherPackage(t *testing.T) {
	a := &otherAuth{errors.New("can never work")}
	for _, auth := range []Authenticator{a, Mechanisms(a, "X")} {
		if err := (&Transport{Hostname: "relay.example", Auth: auth}).Validate(); err == nil || !strings.Contains(err.Error(), "can never work") {
			t.Error(err)
		}
	}
	if err := (&Transport{Hostname: "relay.example", Auth: Mechanisms(new(otherAuth), "X")}).Validate(); err != nil {
		t.Error(err)
	}
}
