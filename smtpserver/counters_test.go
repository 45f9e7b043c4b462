package smtpserver_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// The counters say what became of each message, and how long its client waited.
func TestCountersOfMessages(t *testing.T) {
	verdicts := []error{nil, smtpserver.Reject(550, "5.7.1", "spam"), smtpserver.Reject(451, "4.7.1", "later"), errors.New("broken"), smtpserver.ErrDiscard, nil}
	n := 0
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{{Name: "filter", EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
		time.Sleep(3 * time.Second)
		n++
		return verdicts[n-1]
	}}}}
	inBubble(t, srv, func(dial func() *raw) {
		c := dial()
		c.greet()
		for range verdicts {
			c.begin()
			c.send("Subject: x\r\n\r\nbody\r\n.\r\n")
			c.reply()
		}
		synctest.Wait()
		s := srv.Counters()
		if s.Messages != 2 || s.Discarded != 1 || s.Refused != 1 || s.Deferred != 2 || s.Refusals["filter"] != 3 {
			t.Errorf("%+v", s)
		}
		if a := s.Accept; a.Count != 6 || a.Sum != 18 || a.Quantile(0.5) < 2.5 || a.Quantile(0.5) > 5 {
			t.Errorf("accept duration: %+v", a)
		}
		if s.Bytes != 6*int64(len("Subject: x\r\n\r\nbody\r\n")) {
			t.Errorf("%d bytes", s.Bytes)
		}
		c.Close()
	})
}

// Logins are counted by mechanism. A client cannot add a name.
func TestCountersOfLogins(t *testing.T) {
	srv := &smtpserver.Server{Auth: wonderland(), AllowInsecureAuth: true, Limits: smtpserver.Limits{AuthFailures: 100}}
	inBubble(t, srv, func(dial func() *raw) {
		c := dial()
		c.greet()
		for i := range 20 {
			c.send(fmt.Sprintf("AUTH X-%d AAAA\r\n", i))
			c.expect("504")
			c.send("QUIT\r\n")
			c.expect("221")
			c = dial()
			c.greet()
		}
		for _, login := range []string{"\x00alice\x00guess", "\x00alice\x00wonderland"} {
			c.send("AUTH PLAIN " + b64(login) + "\r\n")
			c.reply()
		}
		s := srv.Counters()
		if !maps.Equal(s.Logins, map[string]int64{"PLAIN": 1}) || !maps.Equal(s.FailedLogins, map[string]int64{"PLAIN": 1}) {
			t.Errorf("logins %v, failed %v", s.Logins, s.FailedLogins)
		}
		if s.Authenticated != 1 || s.AuthFailed != 1 || len(s.Refusals) > 2 {
			t.Errorf("%+v", s)
		}
		c.Close()
	})
}

// Counters can be read before the server serves.
func TestCountersOfNewServer(t *testing.T) {
	s := new(smtpserver.Server).Counters()
	if s.Accept.Count != 0 || len(s.Accept.Bounds) == 0 || s.Refusals == nil || s.Replies == nil {
		t.Errorf("%+v", s)
	}
}
