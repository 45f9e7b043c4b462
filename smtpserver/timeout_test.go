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

// inBubble runs a server and a client in a bubble where time passes at once
// when everybody waits. elapsed tells how long something took.
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

// took checks how long f takes, to a sixty-fourth (deadlines are not reset for
// less).
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

// A DATA that stops ends the session, and nothing of it is read as a command
// (go-smtp's issue 196).
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

// A client that sends a byte now and then cannot stay for ever: 500 bytes a
// second is the least, after the first three minutes.
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

// A client that does not read its replies is given up, not waited for.
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

// Each failed login costs five seconds, the third the session.
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

// Who tries out addresses is slowed down, and then sent away.
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

// When connections run short, those that do nothing go first.
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

// Shutdown lets a message in hand end, interrupts those who wait, and waits
// for all.
func TestShutdown(t *testing.T) {
	inbox := smtptest.NewInbox()
	srv := &smtpserver.Server{Handler: inbox}
	inBubble(t, srv, func(dial func() *raw) {
		idle, busy := dial(), dial()
		idle.greet()
		busy.greet()
		busy.begin()
		busy.send("Subject: x\r\n")
		done := make(chan error, 1)
		go func() { done <- srv.Shutdown(context.Background()) }()
		idle.expect("421 4.3.2 Service is shutting down")
		idle.gone()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("Shutdown does not wait: %v", err)
		default:
		}
		busy.send("\r\nbody\r\n.\r\n")
		busy.expect("250 2.0.0", "421 4.3.2")
		busy.gone()
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	if inbox.Len() != 1 {
		t.Error("the message in hand was lost")
	}
}

// Those who have nothing in hand do not hold Shutdown up, whatever they wait
// for.
func TestShutdownWaitsForNobodyElse(t *testing.T) {
	tlsOffered, tlsImplicit := withTLS(t, smtpserver.TLSOffered), withTLS(t, smtpserver.TLSImplicit)
	for name, c := range map[string]struct {
		srv  *smtpserver.Server
		lead func(c *raw)
	}{
		"PROXY header": {&smtpserver.Server{ProxyFrom: []netipPrefix{anywhere}}, func(*raw) {}},
		"banner":       {&smtpserver.Server{BannerDelay: time.Hour}, func(*raw) {}},
		"implicit TLS": {tlsImplicit, func(*raw) {}},
		"STARTTLS":     {tlsOffered, func(c *raw) { c.greet(); c.send("STARTTLS\r\n"); c.expect("220") }},
		"password":     {&smtpserver.Server{Auth: wonderland(), AllowInsecureAuth: true}, func(c *raw) { c.greet(); c.send("AUTH LOGIN\r\n"); c.expect("334") }},
		"tarpit": {&smtpserver.Server{Auth: wonderland(), AllowInsecureAuth: true, Limits: smtpserver.Limits{Tarpit: time.Hour}},
			func(c *raw) { c.greet(); c.send("AUTH PLAIN " + b64("\x00alice\x00guess") + "\r\n") }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.srv, func(dial func() *raw) {
				client := dial()
				c.lead(client)
				synctest.Wait()
				read := make(chan bool)
				go func() { // a pipe's writer waits for its reader
					io.Copy(io.Discard, client)
					close(read)
				}()
				took(t, 0, func() {
					if err := c.srv.Shutdown(context.Background()); err != nil {
						t.Error(err)
					}
				})
				<-read
			})
		})
	}
}

func TestShutdownEndsHard(t *testing.T) {
	stuck := make(chan error, 1)
	srv := &smtpserver.Server{Handler: smtpserver.HandlerFunc(func(ctx context.Context, _ *smtpserver.Session, _ *smtpserver.Message) (string, error) {
		<-ctx.Done()
		stuck <- ctx.Err()
		return "", ctx.Err()
	})}
	synctest.Test(t, func(t *testing.T) {
		stuck = make(chan error, 1)
		l := smtptest.NewListener()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		c, err := l.Dial("192.0.2.7:1025")
		if err != nil {
			t.Fatal(err)
		}
		r := newRaw(t, c)
		r.greet()
		r.begin()
		r.send(".\r\n")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		took(t, time.Minute, func() {
			if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown: %v", err)
			}
		})
		if err := <-stuck; err == nil {
			t.Error("the Handler's context did not end")
		}
		<-served
		if err := srv.Serve(smtptest.NewListener()); !errors.Is(err, smtpserver.ErrServerClosed) {
			t.Errorf("Serve after Shutdown: %v", err)
		}
	})
}

// However Shutdown and DATA race, a client that was told 354 gets its message
// in.
func TestShutdownRacesWithDATA(t *testing.T) {
	for range 300 {
		// One time for both, so that a deadline is worth keeping.
		same := smtpserver.Limits{CommandTimeout: time.Minute, DataTimeout: time.Minute}
		srv := smtptest.NewServer(t, &smtpserver.Server{Limits: same})
		c := dialRaw(t, srv.Addr)
		c.greet()
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n")
		c.expect("250", "250")
		done := make(chan error, 1)
		go func() { done <- srv.Shutdown(context.Background()) }()
		c.send("DATA\r\n")
		if r := c.reply(); strings.HasPrefix(r, "354") {
			c.send("Subject: x\r\n\r\nbody\r\n.\r\n")
			c.expect("250", "421 4.3.2")
		} else if !strings.HasPrefix(r, "421 4.3.2") {
			t.Fatalf("reply %q", r)
		}
		c.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// When connections run short, who does not read is given up soon too.
func TestOverloadOfThoseWhoDoNotRead(t *testing.T) {
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

// drip sends next again and again, twice a minute, until the connection is
// closed.
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

// Whatever has begun has its time as a whole, not a new one for each byte.
func TestDripping(t *testing.T) {
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
