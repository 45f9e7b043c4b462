package smtpclient

import (
	"context"
	"testing"

	"github.com/emersion/go-smtp"
)

// refusable is an Authenticator that wants to know the refusals.
type refusable struct {
	Authenticator
	replies *[]int
}

func (r refusable) Refused(reply *smtp.SMTPError) { *r.replies = append(*r.replies, reply.Code) }

// An Authenticator with the method Refused gets each refusal, also through Mechanisms.
func TestAuthenticatorIsToldOfRefusals(t *testing.T) {
	var replies []int
	token := refusable{TokenAuth("alice@example.com", func(context.Context) (string, error) { return "T0K3N", nil }), &replies}
	for name, a := range map[string]Authenticator{"itself": token, "Mechanisms": Mechanisms(token, "XOAUTH2", "OAUTHBEARER")} {
		replies = nil
		n := newNetwork(t)
		n.host("192.0.2.1:25", login("OAUTHBEARER XOAUTH2")+"C: <any>\nS: 535 5.7.8 no\nC: <any>\nS: 454 4.7.0 later"+quit)
		tr := n.transport()
		tr.Auth, tr.AllowInsecureAuth = a, true
		tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))
		if len(replies) != 2 || replies[0] != 535 || replies[1] != 454 {
			t.Errorf("%s: %v", name, replies)
		}
		tr.Close()
	}
}
