package gateway_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// withLogins makes a server offer AUTH. All passwords are wrong.
func withLogins(srv *smtpserver.Server) *smtpserver.Server {
	srv.AllowInsecureAuth, srv.Limits.Tarpit = true, -1
	srv.Auth = smtpserver.PasswordAuth(func(context.Context, *smtpserver.Session, string, string) error {
		return errors.New("wrong")
	})
	return srv
}

// The listeners of a relay count failed logins together, also after Replace. A
// server with a LoginLimit of its own keeps it.
func TestListenersShareTheLoginLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		smtp := withLogins(r.Listeners[0].Server)
		submission, own := withLogins(r.server(t, "relay.example.com")), withLogins(r.server(t, "relay.example.com"))
		own.LoginLimit = &smtpserver.LoginLimit{Failures: -1}
		sockets := []*smtptest.Listener{r.socket}
		for _, srv := range []*smtpserver.Server{submission, own} {
			sockets = append(sockets, smtptest.NewListener())
			r.Listeners = append(r.Listeners, &gateway.Listener{Server: srv, Socket: sockets[len(sockets)-1]})
		}
		stop := r.run(t)
		fail := func(listener, n int, want string) {
			t.Helper()
			r.socket = sockets[listener]
			guess := "C: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00alice\x00x")) + "\nS: " + want + "\n"
			smtptest.TalkOn(t, r.dial(t), "S: 220\nC: EHLO client.example\nS: 250\n"+strings.Repeat(guess, n)).Close()
		}
		for range 2 {
			fail(0, 2, "535")
			fail(1, 3, "535")
			if err := r.Listeners[0].Replace(withLogins(r.server(t, "new.example.com"))); err != nil {
				t.Fatal(err)
			}
		}
		fail(0, 1, "454 4.7.0")
		fail(1, 1, "454 4.7.0")
		for range 5 {
			fail(2, 3, "535")
		}
		if smtp.LoginLimit != submission.LoginLimit {
			t.Error("two listeners have two LoginLimits")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
