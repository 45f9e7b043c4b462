package smtpserver_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// inBubble runs a server and a client in a synctest bubble, where the clock
// advances when all goroutines wait.
func inBubble(t *testing.T, srv *smtpserver.Server, client func(dial func() *raw)) {
	synctest.Test(t, func(t *testing.T) {
		l := smtptest.NewListener()
		if srv.Handler == nil {
			srv.Handler = smtptest.NewInbox()
		}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		defer func() {
			srv.Close()
			if err := <-served; !errors.Is(err, smtpserver.ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
		}()
		client(func() *raw {
			c, err := l.Dial("192.0.2.7:1025")
			if err != nil {
				t.Fatal(err)
			}
			return newRaw(t, c)
		})
	})
}

// took checks how long f takes, with a tolerance of 1/64 (the server does not
// reset a deadline for less).
func took(t *testing.T, want time.Duration, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if d := time.Since(began); d > want || d < want-want/32 {
		t.Errorf("it took %v, want %v", d, want)
	}
}

func (c *raw) greet() {
	c.t.Helper()
	c.expect("220")
	c.send("EHLO client.example\r\n")
	c.expect("250")
}

func (c *raw) begin() {
	c.t.Helper()
	c.send("MAIL FROM:<a@example.com>\r\n")
	c.expect("250")
	c.send("RCPT TO:<b@example.com>\r\n")
	c.expect("250")
	c.send("DATA\r\n")
	c.expect("354")
}

// RFC 5321, 4.5.3.2.7: at least five minutes for a command.
func TestCommandTimeout(t *testing.T) {
	inBubble(t, &smtpserver.Server{}, func(dial func() *raw) {
		c := dial()
		c.greet()
		took(t, 5*time.Minute, func() { c.expect("421 4.4.2 Timeout") })
		c.gone()
	})
}

// If the client stops sending after DATA, the session ends, and no part of the
// text is read as a command (go-smtp issue 196).
func TestDataTimeout(t *testing.T) {
	inbox := smtptest.NewInbox()
	inBubble(t, &smtpserver.Server{Handler: inbox}, func(dial func() *raw) {
		c := dial()
		c.greet()
		c.begin()
		c.send("Subject: x\r\n\r\nhalf a message\r\n")
		took(t, 3*time.Minute, func() { c.expect("421 4.4.2 Timeout: the message") })
		c.gone()
	})
	if inbox.Len() != 0 {
		t.Error("half a message was taken")
	}
}

// A client that sends only a few bytes cannot keep a session open without
// limit: after the first three minutes, it must have sent 500 bytes per second.
func TestDataRate(t *testing.T) {
	inBubble(t, &smtpserver.Server{}, func(dial func() *raw) {
		c := dial()
		c.greet()
		c.begin()
		stopped := make(chan bool)
		took(t, 3*time.Minute, func() {
			go func() {
				defer close(stopped)
				for {
					time.Sleep(10 * time.Second)
					if _, err := io.WriteString(c.Conn, "x"); err != nil {
						return
					}
				}
			}()
			c.expect("421 4.4.2")
		})
		c.Close()
		<-stopped
	})
	t.Run("fast enough", func(t *testing.T) {
		inBubble(t, &smtpserver.Server{}, func(dial func() *raw) {
			c := dial()
			c.greet()
			c.begin()
			for range 10 * 60 { // ten minutes
				time.Sleep(time.Second)
				c.send(strings.Repeat("x", 510) + "\r\n")
			}
			c.send(".\r\n")
			c.expect("250")
		})
	})
}

func TestSessionTime(t *testing.T) {
	inBubble(t, &smtpserver.Server{Limits: smtpserver.Limits{SessionTimeout: time.Hour}}, func(dial func() *raw) {
		c := dial()
		c.greet()
		for range 19 {
			time.Sleep(3 * time.Minute)
			c.send("NOOP\r\n")
			c.expect("250")
		}
		c.expect("421 4.7.0 Session took too long")
		c.gone()
	})
}

// The server closes the connection of a client that does not read its replies.
func TestClientThatDoesNotRead(t *testing.T) {
	gone := make(chan time.Duration, 1)
	began := time.Now()
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{{
		Disconnect: func(context.Context, *smtpserver.Session) { gone <- time.Since(began) },
	}}}
	synctest.Test(t, func(t *testing.T) {
		l := smtptest.NewListener()
		gone = make(chan time.Duration, 1)
		began = time.Now()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		c, err := l.Dial("192.0.2.7:1025")
		if err != nil {
			t.Fatal(err)
		}
		if d := <-gone; d != 5*time.Minute {
			t.Errorf("given up after %v", d)
		}
		c.Close()
		srv.Close()
		<-served
	})
}

func TestHandshakeTimeout(t *testing.T) {
	srv := withTLS(t, smtpserver.TLSOffered)
	inBubble(t, srv, func(dial func() *raw) {
		c := dial()
		c.greet()
		c.send("STARTTLS\r\n")
		c.expect("220")
		took(t, time.Minute, c.gone)
	})
}

func TestBannerDelay(t *testing.T) {
	inBubble(t, &smtpserver.Server{BannerDelay: 6 * time.Second}, func(dial func() *raw) {
		c := dial()
		took(t, 6*time.Second, func() { c.expect("220") })
		c = dial()
		took(t, 0, func() {
			c.send("EHLO spam.example\r\n")
			c.expect("554 5.5.0")
			c.gone()
		})
	})
}

// The server delays the reply to each failed login by five seconds. The third
// one ends the session.
func TestAuthTarpit(t *testing.T) {
	srv := &smtpserver.Server{Auth: wonderland(), AllowInsecureAuth: true}
	inBubble(t, srv, func(dial func() *raw) {
		c := dial()
		c.greet()
		for range 3 {
			took(t, 5*time.Second, func() {
				c.send("AUTH PLAIN " + b64("\x00alice\x00guess") + "\r\n")
				c.expect("535 5.7.8")
			})
		}
		c.expect("421 4.7.0 Too many failed logins")
		c.gone()
	})
}

// If a client tries many addresses, the server delays its replies, and then
// ends the session.
func TestDirectoryHarvest(t *testing.T) {
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{{
		Rcpt: func(context.Context, *smtpserver.Session, string, *smtp.RcptOptions) error { return noSuchUser },
	}}}
	inBubble(t, srv, func(dial func() *raw) {
		c := dial()
		c.greet()
		c.send("MAIL FROM:<>\r\n")
		c.expect("250")
		guess := func() {
			c.send("RCPT TO:<guess@example.com>\r\n")
			c.expect("550 5.1.1")
		}
		for range 10 {
			took(t, 0, guess)
		}
		for range 10 {
			took(t, 5*time.Second, guess)
		}
		c.expect("421 4.7.0 Too many unknown recipients")
		c.gone()
	})
}

// Under overload, the server closes idle connections early.
func TestOverload(t *testing.T) {
	srv := &smtpserver.Server{Limits: smtpserver.Limits{Connections: 10, Exempt: []netipPrefix{anywhere}}}
	inBubble(t, srv, func(dial func() *raw) {
		var cs []*raw
		for range 9 {
			c := dial()
			c.expect("220")
			cs = append(cs, c)
		}
		took(t, 10*time.Second, func() { cs[8].expect("421 4.4.2") })
		cs[8].gone()
		// One error is enough now.
		c := dial()
		c.expect("220")
		c.send("FOO\r\n")
		c.expect("500")
		c.send("FOO\r\n")
		c.expect("500", "421 4.7.0 Too many errors")
		for _, c := range append(cs, c) {
			c.Close()
		}
	})
}

// Under overload, the server also closes early if a client does not read.
func TestOverloadWithoutReader(t *testing.T) {
	gone := make(chan string, 10)
	srv := &smtpserver.Server{
		Limits: smtpserver.Limits{Connections: 10, Exempt: []netipPrefix{anywhere}},
		Agents: []smtpserver.Agent{{Disconnect: func(_ context.Context, s *smtpserver.Session) { gone <- s.Helo() }}},
	}
	inBubble(t, srv, func(dial func() *raw) {
		gone = make(chan string, 10)
		for range 8 {
			c := dial()
			c.expect("220")
			defer c.Close()
		}
		defer dial().Close()
		took(t, 10*time.Second, func() { <-gone })
	})
}

// drip sends next twice a minute until the connection is closed.
func (c *raw) drip(next string) (ended chan bool) {
	ended = make(chan bool)
	go func() {
		defer close(ended)
		for {
			if _, err := io.WriteString(c.Conn, next); err != nil {
				return
			}
			time.Sleep(30 * time.Second)
		}
	}()
	return ended
}

// Each time limit applies to a whole line or handshake. It does not start again
// for each byte.
func TestSlowInput(t *testing.T) {
	for _, c := range []struct {
		phase string
		time  time.Duration
		begin func(c *raw)
		next  string
	}{
		{"a command", 5 * time.Minute, func(c *raw) {}, "x"},
		{"a line that is too long", 5 * time.Minute, func(c *raw) { c.send(strings.Repeat("x", 20000)) }, "x"},
		{"an answer to a challenge", 5 * time.Minute, func(c *raw) {
			c.send("AUTH LOGIN\r\n")
			c.expect("334")
		}, "x"},
		{"a message in chunks", 3 * time.Minute, func(c *raw) {
			c.send("MAIL FROM:<a@example.com>\r\n")
			c.expect("250")
			c.send("RCPT TO:<b@example.com>\r\n")
			c.expect("250")
		}, "BDAT 1\r\nx"},
	} {
		t.Run(c.phase, func(t *testing.T) {
			inBubble(t, &smtpserver.Server{Auth: wonderland(), AllowInsecureAuth: true}, func(dial func() *raw) {
				client := dial()
				client.greet()
				c.begin(client)
				var ended chan bool
				took(t, c.time, func() {
					ended = client.drip(c.next)
					reply := ""
					for reply = "250"; strings.HasPrefix(reply, "250"); {
						reply = client.reply()
					}
					if !strings.HasPrefix(reply, "421 4.4.2 Timeout") {
						t.Errorf("the server says %q", reply)
					}
				})
				client.Close()
				<-ended
			})
		})
	}
	t.Run("the header of a proxy", func(t *testing.T) {
		inBubble(t, &smtpserver.Server{ProxyFrom: []netipPrefix{anywhere}}, func(dial func() *raw) {
			c := dial()
			c.send("PROXY TCP4 ")
			var ended chan bool
			took(t, time.Minute, func() {
				ended = c.drip("x")
				c.gone()
			})
			<-ended
		})
	})
}
