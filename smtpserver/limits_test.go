package smtpserver_test

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

type netipPrefix = netip.Prefix

var anywhere = netip.MustParsePrefix("0.0.0.0/0")

// fromAnywhere runs a server that clients can dial from any address.
func fromAnywhere(t *testing.T, limits smtpserver.Limits, f func(dial func(from string) *raw)) {
	synctest.Test(t, func(t *testing.T) {
		srv := &smtpserver.Server{Limits: limits, Handler: smtptest.NewInbox()}
		l := smtptest.NewListener()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		defer func() {
			srv.Close()
			if err := <-served; !errors.Is(err, smtpserver.ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
		}()
		f(func(from string) *raw {
			c, err := l.Dial(from + ":1025")
			if err != nil {
				t.Fatal(err)
			}
			return newRaw(t, c)
		})
	})
}

func (c *raw) quit() {
	c.t.Helper()
	c.send("QUIT\r\n")
	c.expect("221")
	c.gone()
}

func TestConnectionLimits(t *testing.T) {
	t.Run("in total", func(t *testing.T) {
		fromAnywhere(t, smtpserver.Limits{Connections: 2, OverloadPercent: -1}, func(dial func(string) *raw) {
			a, b := dial("192.0.2.1"), dial("198.51.100.1")
			a.expect("220")
			b.expect("220")
			c := dial("203.0.113.1")
			c.expect("421 4.7.0 Too many connections")
			c.gone()
			a.quit()
			synctest.Wait()
			dial("203.0.113.1").expect("220")
		})
	})
	t.Run("from one address", func(t *testing.T) {
		fromAnywhere(t, smtpserver.Limits{ConnectionsPerAddr: 2}, func(dial func(string) *raw) {
			a := dial("192.0.2.1")
			a.expect("220")
			dial("192.0.2.1").expect("220")
			dial("192.0.2.1").expect("421 4.7.0 Too many connections from your address")
			dial("192.0.2.2").expect("220")
			a.quit()
			synctest.Wait()
			dial("192.0.2.1").expect("220")
		})
	})
	t.Run("from one network", func(t *testing.T) {
		fromAnywhere(t, smtpserver.Limits{ConnectionsPerNetwork: 2}, func(dial func(string) *raw) {
			dial("192.0.2.1").expect("220")
			dial("192.0.2.2").expect("220")
			dial("192.0.2.3").expect("421 4.7.0 Too many connections from your network")
			dial("192.0.3.1").expect("220")
			dial("[2001:db8::1]").expect("220")
			dial("[2001:db8::2]").expect("220")
			dial("[2001:db8::3]").expect("421")
			dial("[2001:db8:0:1::1]").expect("220")
		})
	})
	t.Run("in a minute", func(t *testing.T) {
		fromAnywhere(t, smtpserver.Limits{ConnectionRate: 3}, func(dial func(string) *raw) {
			for range 3 {
				c := dial("192.0.2.1")
				c.expect("220")
				c.quit()
			}
			dial("192.0.2.1").expect("421 4.7.0 Too many connections from your address in a minute")
			dial("192.0.2.2").expect("220")
			time.Sleep(time.Minute)
			dial("192.0.2.1").expect("220")
		})
	})
	t.Run("loopback and named networks are exempt", func(t *testing.T) {
		l := smtpserver.Limits{ConnectionsPerAddr: 1}
		fromAnywhere(t, l, func(dial func(string) *raw) {
			dial("127.0.0.1").expect("220")
			dial("127.0.0.1").expect("220")
		})
		l.Exempt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		fromAnywhere(t, l, func(dial func(string) *raw) {
			dial("10.1.1.1").expect("220")
			dial("10.1.1.1").expect("220")
			dial("127.0.0.1").expect("220")
			dial("127.0.0.1").expect("421")
		})
	})
}

func TestRates(t *testing.T) {
	fromAnywhere(t, smtpserver.Limits{MessageRate: 2, RecipientRate: 3, SessionMessages: 5}, func(dial func(string) *raw) {
		c := dial("192.0.2.1")
		c.greet()
		mail := func(want string) {
			t.Helper()
			c.send("RSET\r\n")
			c.expect("250")
			c.send("MAIL FROM:<>\r\n")
			c.expect(want)
		}
		rcpt := func(want string) {
			t.Helper()
			c.send("RCPT TO:<b@example.com>\r\n")
			c.expect(want)
		}
		mail("250")
		rcpt("250")
		mail("250")
		rcpt("250")
		rcpt("250")
		rcpt("450 4.7.0 Too many recipients in a minute")
		mail("450 4.7.0 Too many messages in a minute")
		time.Sleep(time.Minute)
		mail("250")
		rcpt("250")
		mail("250")
		time.Sleep(time.Minute)
		mail("250")
		mail("452 4.5.3 Too many messages in this session")
	})
}

// A host with an IPv6 address usually has all 2^64 addresses of its /64
// network. For the rates, they count as one address.
func TestRatesOfIPv6(t *testing.T) {
	t.Run("messages and recipients", func(t *testing.T) {
		fromAnywhere(t, smtpserver.Limits{MessageRate: 2, RecipientRate: 2}, func(dial func(string) *raw) {
			for i, want := range []string{"250", "250", "450 4.7.0 Too many messages in a minute"} {
				c := dial(fmt.Sprintf("[2001:db8::%d]", i))
				c.greet()
				c.send("MAIL FROM:<>\r\n")
				c.expect(want)
				if want == "250" {
					c.send("RCPT TO:<b@example.com>\r\n")
					c.expect("250")
				}
				c.quit()
			}
			c := dial("[2001:db8:0:1::1]")
			c.greet()
			c.send("MAIL FROM:<>\r\n")
			c.expect("250")
		})
	})
	t.Run("connections", func(t *testing.T) {
		fromAnywhere(t, smtpserver.Limits{ConnectionRate: 2, ConnectionsPerAddr: 1}, func(dial func(string) *raw) {
			dial("[2001:db8::1]").expect("220")
			dial("[2001:db8::2]").expect("220")
			dial("[2001:db8::3]").expect("421 4.7.0 Too many connections from your address in a minute")
			time.Sleep(time.Minute)
			dial("[2001:db8::1]").expect("421 4.7.0 Too many connections from your address\n")
			dial("[2001:db8::3]").expect("220")
		})
	})
}

func TestRecipientLimit(t *testing.T) {
	fromAnywhere(t, smtpserver.Limits{Recipients: 2}, func(dial func(string) *raw) {
		c := dial("192.0.2.1")
		c.greet()
		c.send("MAIL FROM:<>\r\n")
		c.expect("250")
		for _, want := range []string{"250", "250", "452 4.5.3"} {
			c.send("RCPT TO:<b@example.com>\r\n")
			c.expect(want)
		}
		c.send("DATA\r\n")
		c.expect("354")
		c.send(".\r\n")
		c.expect("250")
	})
}

func TestSessionBytes(t *testing.T) {
	fromAnywhere(t, smtpserver.Limits{SessionBytes: 1000}, func(dial func(string) *raw) {
		c := dial("192.0.2.1")
		c.greet()
		c.begin()
		c.send(strings.Repeat("x", 100) + "\r\n.\r\n")
		c.expect("250")
		c.begin()
		go c.send(strings.Repeat("x", 998) + "\r\n")
		c.expect("421 4.7.0 Too many bytes")
	})
}

// SessionBytes counts chunks also if the message is refused.
func TestSessionBytesInChunks(t *testing.T) {
	for _, between := range []string{"", "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\n", "RSET\r\n"} {
		fromAnywhere(t, smtpserver.Limits{SessionBytes: 1000}, func(dial func(string) *raw) {
			c := dial("192.0.2.1")
			c.greet()
			defer c.Close()
			go func() {
				io.WriteString(c.Conn, "MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\n")
				for {
					if _, err := io.WriteString(c.Conn, "BDAT 400\r\n"+strings.Repeat("x", 400)+between); err != nil {
						return
					}
				}
			}()
			for chunks := 0; ; {
				r := c.reply()
				if strings.HasPrefix(r, "421 4.7.0 Too many bytes") {
					return
				}
				if chunks > 2 {
					t.Errorf("%d chunks were taken with %q between them", chunks, between)
					return
				}
				if strings.Contains(r, "400 bytes") || strings.HasPrefix(r, "503") {
					chunks++
				}
			}
		})
	}
}

func TestTextLine(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{Limits: smtpserver.Limits{TextLine: 1000}})
	smtptest.Talk(t, srv.Addr, send("\r\n"+strings.Repeat("x", 998)+"\r\n.\r\n", "250"))
	smtptest.Talk(t, srv.Addr, send("\r\n"+strings.Repeat("x", 999)+"\r\n.\r\n", "554 5.6.0"))
}

// TotalMemory limits the content of all sessions in memory.
func TestTotalMemory(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{Limits: smtpserver.Limits{TotalMemory: 1}})
	smtptest.Talk(t, srv.Addr, send("X: y\r\n\r\nbody in a file\r\n.\r\n", "250"))
	if got := srv.Inbox.Next(t).Text; got != "X: y\r\n\r\nbody in a file\r\n" {
		t.Errorf("content %q", got)
	}
}

// SessionBytes also applies to a message that arrives in one read: the server
// does not accept the message that exceeds it.
func TestSessionBytesCountsEveryMessage(t *testing.T) {
	text := "Subject: x\r\n\r\n" + strings.Repeat("abcdefgh\r\n", 400) // 4014 bytes
	open := "C: MAIL FROM:<a@example.net>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\n"
	for name, c := range map[string]struct{ begin, message string }{
		"DATA":         {"EHLO", fmt.Sprintf("C: DATA\nS: 354\nR: %q\n", text+".\r\n")},
		"BDAT":         {"EHLO", fmt.Sprintf("R: %q\n", fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text))},
		"chunks":       {"EHLO", fmt.Sprintf("R: %q\nS: 250\nR: %q\n", "BDAT 14\r\n"+text[:14], fmt.Sprintf("BDAT %d LAST\r\n%s", len(text)-14, text[14:]))},
		"DATA by LMTP": {"LHLO", fmt.Sprintf("C: DATA\nS: 354\nR: %q\n", text+".\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			srv := smtptest.NewServer(t, &smtpserver.Server{LMTP: c.begin == "LHLO", Limits: smtpserver.Limits{SessionBytes: 10_000}})
			script := "S: 220\nC: " + c.begin + " client.example\nS: 250\n" + strings.Repeat(open+c.message+"S: 250\n", 2) + open + c.message
			smtptest.Talk(t, srv.Addr, script+"S: 421 4.7.0 Too many bytes in this session\nEOF")
			if n := srv.Inbox.Len(); n != 2 {
				t.Errorf("%d messages were taken, want 2", n)
			}
		})
	}
}

// The server accepts exactly as many bytes as SessionBytes.
func TestSessionBytesIsExact(t *testing.T) {
	text := "Subject: x\r\n\r\nabc\r\n"
	srv := smtptest.NewServer(t, &smtpserver.Server{Limits: smtpserver.Limits{SessionBytes: 2 * int64(len(text))}})
	message := fmt.Sprintf("C: MAIL FROM:<a@example.net>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\nR: %q\n", text+".\r\n")
	smtptest.Talk(t, srv.Addr, "S: 220\nC: EHLO client.example\nS: 250\n"+message+"S: 250\n"+message+"S: 250\n"+message+"S: 421 4.7.0")
}
