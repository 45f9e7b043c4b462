package smtpserver_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Shutdown lets a message that is being received finish, ends idle sessions,
// and waits for all sessions.
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
		t.Error("the message that was being received was lost")
	}
}

// Sessions without a command or message do not delay Shutdown.
func TestShutdownEndsIdleSessions(t *testing.T) {
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

func TestShutdownWhenContextEnds(t *testing.T) {
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

// If Shutdown and DATA come at the same time, a client that got 354 can still
// send its message.
func TestShutdownRacesWithDATA(t *testing.T) {
	for range 300 {
		// Both time limits are equal, so the server does not set a new deadline for DATA.
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
