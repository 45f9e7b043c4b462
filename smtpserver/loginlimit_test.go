package smtpserver_test

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// loginServers runs servers in a synctest bubble. dial connects to one of them
// from an address.
func loginServers(t *testing.T, f func(dial func(server int, from string) *raw), servers ...*smtpserver.Server) {
	synctest.Test(t, func(t *testing.T) {
		var listeners []*smtptest.Listener
		var served sync.WaitGroup
		for _, srv := range servers {
			srv.AllowInsecureAuth = true
			srv.Limits.AuthFailures, srv.Limits.ConnectionsPerAddr = -1, -1
			if srv.Limits.Tarpit == 0 {
				srv.Limits.Tarpit = -1
			}
			l := smtptest.NewListener()
			listeners = append(listeners, l)
			served.Go(func() {
				if err := srv.Serve(l); !errors.Is(err, smtpserver.ErrServerClosed) {
					t.Errorf("Serve: %v", err)
				}
			})
		}
		defer served.Wait()
		for _, srv := range servers {
			defer srv.Close()
		}
		f(func(server int, from string) *raw {
			c, err := listeners[server].Dial(from + ":1025")
			if err != nil {
				t.Fatal(err)
			}
			return newRaw(t, c)
		})
	})
}

const (
	tooManyFailed = "454 4.7.0 Too many failed logins from your address"
	wrongLogin    = "535 5.7.8"
)

// login sends AUTH PLAIN and checks the reply.
func (c *raw) login(password, want string) {
	c.t.Helper()
	c.send("AUTH PLAIN " + b64("\x00alice\x00"+password) + "\r\n")
	c.expect(want)
}

// After ten failed logins in a minute the server checks no more passwords from
// the same address, not even the right one.
func TestLoginLimit(t *testing.T) {
	loginServers(t, func(dial func(int, string) *raw) {
		before := dial(0, "192.0.2.7")
		before.greet()
		before.login("wonderland", "235")
		c := dial(0, "192.0.2.7")
		c.greet()
		for range 10 {
			time.Sleep(5 * time.Second)
			c.login("guess", wrongLogin)
		}
		c.login("guess", tooManyFailed)
		c.login("wonderland", tooManyFailed)
		c.send("AUTH LOGIN\r\n")
		c.expect(tooManyFailed) // no prompt
		c.quit()
		// A new session does not change it.
		c = dial(0, "192.0.2.7")
		c.greet()
		c.login("wonderland", tooManyFailed)
		// Mail without a login is accepted, and a client that has logged in goes on.
		c.send("MAIL FROM:<a@example.com>\r\n")
		c.expect("250")
		before.begin()
		before.send("Subject: x\r\n\r\n.\r\n")
		before.expect("250")
		other := dial(0, "192.0.2.8")
		other.greet()
		other.login("wonderland", "235")
		// The minute began with the first failure, 45 s before the last one.
		time.Sleep(14 * time.Second)
		c.send("RSET\r\n")
		c.expect("250")
		c.login("wonderland", tooManyFailed)
		time.Sleep(time.Second)
		c.login("guess", wrongLogin)
		c.login("wonderland", "235")
	}, &smtpserver.Server{Auth: wonderland(), Handler: smtptest.NewInbox()})
}

// A correct password in between does not let a client go on guessing: it may
// have an account of its own.
func TestLoginLimitAfterSuccess(t *testing.T) {
	loginServers(t, func(dial func(int, string) *raw) {
		for i := range 10 {
			c := dial(0, "192.0.2.7")
			c.greet()
			c.login("guess", wrongLogin)
			if i < 9 {
				c.login("wonderland", "235")
			}
			c.quit()
		}
		c := dial(0, "192.0.2.7")
		c.greet()
		c.login("wonderland", tooManyFailed)
	}, &smtpserver.Server{Auth: wonderland()})
}

// Servers with one LoginLimit count together. Each /64 network of IPv6 counts as
// one address; so do loopback addresses.
func TestLoginLimitIsShared(t *testing.T) {
	for _, c := range []struct{ name, first, second, other string }{
		{"IPv4", "192.0.2.7", "192.0.2.7", "192.0.2.8"},
		{"IPv6", "[2001:db8::7]", "[2001:db8::ffff:1:2:3]", "[2001:db8:0:1::7]"},
		{"IPv4 in IPv6", "192.0.2.7", "[::ffff:192.0.2.7]", "[::ffff:192.0.2.8]"},
		{"loopback", "127.0.0.1", "127.0.0.1", "127.0.0.2"},
		{"IPv6 loopback", "[::1]", "[::1]", "127.0.0.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			limit := &smtpserver.LoginLimit{}
			loginServers(t, func(dial func(int, string) *raw) {
				for i := range 10 {
					client := dial(i%2, c.first)
					client.greet()
					client.login("guess", wrongLogin)
					client.quit()
				}
				for server := range 2 {
					client := dial(server, c.second)
					client.greet()
					client.login("wonderland", tooManyFailed)
					other := dial(server, c.other)
					other.greet()
					other.login("wonderland", "235")
				}
			}, &smtpserver.Server{Auth: wonderland(), LoginLimit: limit}, &smtpserver.Server{Auth: wonderland(), LoginLimit: limit})
		})
	}
}

func TestLoginLimitSettings(t *testing.T) {
	try := func(t *testing.T, limit *smtpserver.LoginLimit, from string, failures int) {
		loginServers(t, func(dial func(int, string) *raw) {
			c := dial(0, from)
			c.greet()
			for range failures {
				c.login("guess", wrongLogin)
			}
			if limit.Failures == failures {
				c.login("wonderland", tooManyFailed)
				time.Sleep(limit.Period)
				c = dial(0, from)
				c.greet()
			}
			c.login("wonderland", "235")
		}, &smtpserver.Server{Auth: wonderland(), LoginLimit: limit})
	}
	t.Run("number and period", func(t *testing.T) {
		try(t, &smtpserver.LoginLimit{Failures: 3, Period: time.Hour}, "192.0.2.7", 3)
	})
	t.Run("off", func(t *testing.T) { try(t, &smtpserver.LoginLimit{Failures: -1}, "192.0.2.7", 50) })
	t.Run("exempt", func(t *testing.T) {
		try(t, &smtpserver.LoginLimit{Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, "192.0.2.7", 50)
	})
	for name, wrong := range map[string]*smtpserver.LoginLimit{
		"Period":                {Period: -1},
		"Addresses":             {Addresses: -1},
		"did you mean 10.0.0.0": {Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}},
	} {
		if err := (&smtpserver.Server{LoginLimit: wrong}).Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Clients behind a proxy and front end count by their own addresses.
func TestLoginLimitBehindProxies(t *testing.T) {
	everyone := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for name, greet := range map[string]func(c *raw, ip string){
		"PROXY": func(c *raw, ip string) {
			c.send("PROXY TCP4 " + ip + " 198.51.100.1 4711 25\r\n")
			c.greet()
		},
		"XCLIENT": func(c *raw, ip string) {
			c.greet()
			c.send("XCLIENT ADDR=" + ip + "\r\n")
			c.greet()
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := &smtpserver.Server{Auth: wonderland(), XClientFrom: everyone}
			if name == "PROXY" {
				srv.ProxyFrom = everyone
			}
			loginServers(t, func(dial func(int, string) *raw) {
				for range 10 {
					c := dial(0, "192.0.2.1")
					greet(c, "203.0.113.7")
					c.login("guess", wrongLogin)
					c.quit()
				}
				c := dial(0, "192.0.2.1")
				greet(c, "203.0.113.7")
				c.login("wonderland", tooManyFailed)
				c.quit()
				c = dial(0, "192.0.2.1")
				greet(c, "203.0.113.8")
				c.login("wonderland", "235")
			}, srv)
		})
	}
}
