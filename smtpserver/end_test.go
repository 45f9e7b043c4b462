package smtpserver_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const endedReply = "421 4.3.2 Session was ended by the operator\n"

func (c *raw) envelope() {
	c.t.Helper()
	c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n")
	c.expect("250", "250")
}

// EndSession ends a session at once, wherever it waits for its client.
func TestEndSession(t *testing.T) {
	begin := func(c *raw) { c.greet(); c.begin() }
	for name, c := range map[string]struct {
		srv  *smtpserver.Server
		lead func(c *raw)
	}{
		"before the banner":     {&smtpserver.Server{BannerDelay: time.Hour}, func(*raw) {}},
		"after the banner":      {&smtpserver.Server{}, func(c *raw) { c.expect("220") }},
		"after EHLO":            {&smtpserver.Server{}, (*raw).greet},
		"in AUTH":               {&smtpserver.Server{Auth: wonderland(), AllowInsecureAuth: true}, func(c *raw) { c.greet(); c.send("AUTH LOGIN\r\n"); c.expect("334") }},
		"in a tarpit":           {&smtpserver.Server{Auth: wonderland(), AllowInsecureAuth: true, Limits: smtpserver.Limits{Tarpit: time.Hour}}, func(c *raw) { c.greet(); c.send("AUTH PLAIN " + b64("\x00alice\x00guess") + "\r\n") }},
		"in half a command":     {&smtpserver.Server{}, func(c *raw) { c.greet(); c.send("MAIL FR") }},
		"in the content":        {&smtpserver.Server{}, func(c *raw) { begin(c); c.send("Subject: x\r\n") }},
		"before the content":    {&smtpserver.Server{}, begin},
		"in a chunk":            {&smtpserver.Server{}, func(c *raw) { c.greet(); c.envelope(); c.send("BDAT 100\r\nSubject") }},
		"between chunks":        {&smtpserver.Server{}, func(c *raw) { c.greet(); c.envelope(); c.send("BDAT 4\r\nx: y"); c.expect("250") }},
		"refused at connection": {&smtpserver.Server{Agents: []smtpserver.Agent{{Connect: func(context.Context, *smtpserver.Session) error { return smtpserver.Reject(554, "5.7.1", "no") }}}}, func(c *raw) { c.expect("554") }},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			inbox := smtptest.NewInbox()
			srv := c.srv
			srv.Handler, srv.Logger = inbox, slog.New(slog.NewTextHandler(&log, nil))
			inBubble(t, srv, func(dial func() *raw) {
				client, other := dial(), dial()
				c.lead(client)
				synctest.Wait()
				id := srv.Sessions()[0].ID
				took(t, 0, func() {
					if !srv.EndSession(id) {
						t.Error("the session was not found")
					}
					if got := client.reply(); got != endedReply {
						t.Errorf("reply %q", got)
					}
					client.gone()
				})
				synctest.Wait()
				if all := srv.Sessions(); len(all) != 1 || srv.EndSession(id) {
					t.Errorf("%d sessions, want the other one", len(all))
				}
				go io.Copy(io.Discard, other)
			})
			if !strings.Contains(log.String(), `end="ended by the operator"`) || strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("log:\n%s", log.String())
			}
			if inbox.Len() != 0 {
				t.Error("a message that was not complete was accepted")
			}
		})
	}
}

// Promise 1: a message whose end of data was received is not affected, however
// long the agents and the Handler take.
func TestEndSessionAtEndOfData(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		inbox := smtptest.NewInbox()
		slow := smtpserver.Agent{Name: "slow", EndOfData: func(ctx context.Context, _ *smtpserver.Session, _ *smtpserver.Message) error {
			time.Sleep(time.Hour)
			if refuse {
				return smtpserver.Reject(550, "5.7.1", "spam")
			}
			return ctx.Err()
		}}
		srv := &smtpserver.Server{Handler: inbox, Agents: []smtpserver.Agent{slow}}
		inBubble(t, srv, func(dial func() *raw) {
			c := dial()
			c.greet()
			c.begin()
			c.send("Subject: x\r\n\r\nbody\r\n.\r\nMAIL FROM:<next@example.com>\r\n")
			i := only(t, srv)
			if i.State != "end of data" || !srv.EndSession(i.ID) {
				t.Errorf("%+v", i)
			}
			took(t, time.Hour, func() {
				want := "250 2.0.0"
				if refuse {
					want = "550 5.7.1 spam"
				}
				c.expect(want, "421 4.3.2")
				c.gone()
			})
		})
		if accepted := inbox.Len() == 1; accepted == refuse {
			t.Errorf("refused: %v, accepted: %v", refuse, accepted)
		}
	}
}

// If an agent works or the client does not read, the session gets 10 seconds.
func TestEndSessionDeadline(t *testing.T) {
	const grace = 10 * time.Second
	t.Run("agent", func(t *testing.T) {
		srv := &smtpserver.Server{Agents: []smtpserver.Agent{{Rcpt: func(ctx context.Context, _ *smtpserver.Session, _ string, _ *smtp.RcptOptions) error {
			<-ctx.Done()
			return ctx.Err()
		}}}}
		inBubble(t, srv, func(dial func() *raw) {
			c := dial()
			c.greet()
			c.send("MAIL FROM:<a@example.com>\r\n")
			c.expect("250")
			c.send("RCPT TO:<b@example.com>\r\n")
			srv.EndSession(only(t, srv).ID)
			took(t, grace, c.gone)
		})
	})
	t.Run("client", func(t *testing.T) {
		srv := &smtpserver.Server{}
		inBubble(t, srv, func(dial func() *raw) {
			c := dial()
			c.expect("220")
			c.send("EHLO client.example\r\n") // and does not read the reply
			srv.EndSession(only(t, srv).ID)
			time.Sleep(grace)
			synctest.Wait()
			if n := len(srv.Sessions()); n != 0 {
				t.Errorf("%d sessions", n)
			}
			c.Close()
		})
	})
}

// After the connection was closed, a message cannot be accepted any more: its
// client got no reply, and sends it again.
func TestEndSessionBeforeEndOfData(t *testing.T) {
	inbox := smtptest.NewInbox()
	srv := &smtpserver.Server{Handler: inbox, Agents: []smtpserver.Agent{{Name: "slow", EndOfHeaders: func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
		time.Sleep(time.Minute) // longer than the session gets
		return nil
	}}}}
	inBubble(t, srv, func(dial func() *raw) {
		c := dial()
		c.greet()
		c.begin()
		c.send("Subject: x\r\n\r\nbody\r\n.\r\n")
		i := only(t, srv)
		if i.State != "data" || i.Waiting != "slow" {
			t.Errorf("%+v", i)
		}
		srv.EndSession(i.ID)
		took(t, 10*time.Second, c.gone)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(srv.Sessions()); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
	if inbox.Len() != 0 {
		t.Error("the message was accepted without a reply")
	}
}

// A connection that an agent has taken over belongs to the agent.
func TestEndSessionAfterTakeover(t *testing.T) {
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{{Command: func(_ context.Context, _ *smtpserver.Session, verb, _ string) (*smtpserver.Reply, error) {
		return &smtpserver.Reply{Code: 250, Lines: []string{"ok"}, Takeover: func(ctx context.Context, c net.Conn) {
			time.Sleep(time.Hour)
			if ctx.Err() == nil {
				io.WriteString(c, "220 now I am the client\r\n")
			}
		}}, nil
	}}}}
	inBubble(t, srv, func(dial func() *raw) {
		c := dial()
		c.greet()
		c.send("ATRN example.com\r\n")
		c.expect("250")
		if i := only(t, srv); i.State != "taken over" || !srv.EndSession(i.ID) {
			t.Errorf("%+v", i)
		}
		took(t, time.Hour, func() {
			c.expect("220 now I am the client")
			c.gone()
		})
	})
}
