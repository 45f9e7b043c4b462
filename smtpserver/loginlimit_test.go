package smtpserver_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

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

// every is an Authenticator that offers all mechanisms. Only SCRAM has a user,
// alice, with the password wonderland.
func every(t *testing.T) smtpserver.Authenticator {
	cred, err := smtpserver.NewScramCredentials("wonderland", 4096)
	if err != nil {
		t.Fatal(err)
	}
	return smtpserver.Auths(
		wonderland(),
		smtpserver.CramMD5Auth(func(context.Context, *smtpserver.Session, string) (string, error) { return "wonderland", nil }),
		smtpserver.BearerAuth(func(_ context.Context, _ *smtpserver.Session, user, token string) (string, error) {
			if token != "wonderland" {
				return "", errors.New("bad token")
			}
			return user, nil
		}),
		smtpserver.ScramAuth(scramOf("alice", cred)),
	)
}

// loginWith runs a client of go-sasl's interface and returns the last reply.
func (c *raw) loginWith(client sasl.Client) string {
	c.t.Helper()
	mech, response, err := client.Start()
	if err != nil {
		c.t.Fatal(err)
	}
	command := "AUTH " + mech
	if response != nil {
		command += " " + b64(string(response))
	}
	for {
		c.send(command + "\r\n")
		reply := c.reply()
		if !strings.HasPrefix(reply, "334 ") {
			return reply
		}
		if response, err = client.Next(unb64(c.t, strings.TrimSpace(reply[4:]))); err != nil {
			c.t.Fatal(err)
		}
		command = b64(string(response))
	}
}

// All mechanisms count together. With SCRAM, the wrong password is a wrong
// proof. A bearer token counts once, although its refusal takes two steps.
func TestLoginLimitOfMechanisms(t *testing.T) {
	client := map[string]func(password string) sasl.Client{
		"PLAIN":    func(password string) sasl.Client { return sasl.NewPlainClient("", "alice", password) },
		"LOGIN":    func(password string) sasl.Client { return sasl.NewLoginClient("alice", password) },
		"CRAM-MD5": func(password string) sasl.Client { return cramClient{"alice", password} },
		"XOAUTH2": func(password string) sasl.Client {
			return xoauth2Client("user=alice\x01auth=Bearer " + password + "\x01\x01")
		},
		"SCRAM-SHA-256": func(password string) sasl.Client {
			return &scramClient{mech: "SCRAM-SHA-256", gs2: "n", user: "alice", password: password}
		},
	}
	for name, with := range client {
		t.Run(name, func(t *testing.T) {
			loginServers(t, func(dial func(int, string) *raw) {
				c := dial(0, "192.0.2.7")
				c.greet()
				for range 10 {
					wantReply(t, c.loginWith(with("guess")), wrongLogin)
				}
				for _, other := range client {
					wantReply(t, c.loginWith(other("wonderland")), tooManyFailed)
				}
				time.Sleep(time.Minute)
				wantReply(t, c.loginWith(with("wonderland")), "235")
			}, &smtpserver.Server{Auth: every(t)})
		})
	}
}

// The server counts a refused password although the client does not wait for
// the reply, which comes late (Limits.Tarpit), or for the end of the exchange.
func TestLoginLimitOfImpatientClients(t *testing.T) {
	for name, guess := range map[string]string{
		"PLAIN":   "AUTH PLAIN " + b64("\x00alice\x00guess"),
		"XOAUTH2": "AUTH XOAUTH2 " + b64("user=alice\x01auth=Bearer guess\x01\x01"),
	} {
		t.Run(name, func(t *testing.T) {
			srv := &smtpserver.Server{Auth: every(t), Limits: smtpserver.Limits{Tarpit: time.Second}}
			loginServers(t, func(dial func(int, string) *raw) {
				for range 10 {
					c := dial(0, "192.0.2.7")
					c.greet()
					c.send(guess + "\r\n")
					synctest.Wait()
					c.Close()
				}
				c := dial(0, "192.0.2.7")
				c.greet()
				c.login("wonderland", tooManyFailed)
			}, srv)
		})
	}
}

// Only a password that was checked and refused counts.
func TestLoginLimitCountsOnlyFailedLogins(t *testing.T) {
	down := &smtp.SMTPError{Code: 454, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "The directory does not answer"}
	auth := smtpserver.Auths(every(t))
	for name, talk := range map[string]string{
		"canceled PLAIN":        "AUTH PLAIN|334|*|501 5.7.0",
		"canceled LOGIN":        "AUTH LOGIN|334|" + b64("alice") + "|334|*|501 5.7.0",
		"canceled CRAM-MD5":     "AUTH CRAM-MD5|334|*|501 5.7.0",
		"canceled SCRAM":        "AUTH SCRAM-SHA-256 " + b64("n,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL") + "|334|*|501 5.7.0",
		"bad base64":            "AUTH PLAIN|334|!|501 5.5.2",
		"malformed PLAIN":       "AUTH PLAIN " + b64("alice") + "|535",
		"no password":           "AUTH PLAIN " + b64("\x00alice\x00") + "|535",
		"for another identity":  "AUTH PLAIN " + b64("bob\x00alice\x00wonderland") + "|535",
		"malformed LOGIN":       "AUTH LOGIN|334|" + b64("a\x00b") + "|334|" + b64("x") + "|535",
		"malformed CRAM-MD5":    "AUTH CRAM-MD5|334|" + b64("alice") + "|535",
		"malformed digest":      "AUTH CRAM-MD5|334|" + b64("alice xyz") + "|535",
		"malformed XOAUTH2":     "AUTH XOAUTH2 " + b64("alice") + "|334||535",
		"malformed OAUTHBEARER": "AUTH OAUTHBEARER " + b64("n,a=alice") + "|334|" + b64("\x01") + "|535",
		"malformed SCRAM":       "AUTH SCRAM-SHA-256 " + b64("alice") + "|535",
		"SCRAM with a binding":  "AUTH SCRAM-SHA-256 " + b64("p=tls-exporter,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL") + "|535",
		"SCRAM without a proof": "AUTH SCRAM-SHA-256 " + b64("n,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL") + "|334|" + b64("x") + "|535",
		"unknown mechanism":     "AUTH GSSAPI|504",
		"directory down":        "AUTH PLAIN " + b64("\x00down\x00x") + "|454 4.7.0 The directory",
		"directory too slow":    "AUTH PLAIN " + b64("\x00slow\x00x") + "|535",
		"account locked":        "AUTH PLAIN " + b64("\x00locked\x00x") + "|535 5.7.8 Account",
	} {
		t.Run(name, func(t *testing.T) {
			srv := &smtpserver.Server{Auth: auth}
			switch name {
			case "directory down", "directory too slow", "account locked":
				srv.Auth = smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, password string) error {
					switch {
					case user == "down":
						return fmt.Errorf("ldap: %w", down)
					case user == "slow":
						return fmt.Errorf("ldap: %w", context.DeadlineExceeded)
					case user == "alice" && password != "wonderland":
						return errors.New("wrong")
					}
					return nil
				})
				srv.Agents = []smtpserver.Agent{{Auth: func(_ context.Context, s *smtpserver.Session) error {
					if s.Identity() == "locked" {
						return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "Account is locked"}
					}
					return nil
				}}}
			}
			loginServers(t, func(dial func(int, string) *raw) {
				for range 12 {
					c := dial(0, "192.0.2.7")
					c.greet()
					for i, line := range strings.Split(talk, "|") {
						if i%2 == 0 {
							c.send(line + "\r\n")
						} else {
							c.expect(line)
						}
					}
					c.quit()
				}
				// What counts still counts.
				c := dial(0, "192.0.2.7")
				c.greet()
				for range 10 {
					c.login("guess", wrongLogin)
				}
				c.login("wonderland", tooManyFailed)
			}, srv)
		})
	}
}

// Many sessions at the same time cannot try more passwords than one, also if
// checks take long. Logins with correct passwords wait for each other, but are
// not refused.
func TestLoginLimitOfParallelLogins(t *testing.T) {
	for _, c := range []struct {
		name, password        string
		checked, right, wrong int64
		refused               int64
	}{
		{name: "wrong", password: "guess", checked: 10, wrong: 10, refused: 40},
		{name: "right", password: "wonderland", checked: 50, right: 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			var checked, right, wrong, refused, now, most atomic.Int64
			auth := smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, _, password string) error {
				checked.Add(1)
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				time.Sleep(time.Second)
				if password != "wonderland" {
					return errors.New("wrong")
				}
				return nil
			})
			loginServers(t, func(dial func(int, string) *raw) {
				var clients sync.WaitGroup
				for range 50 {
					client := dial(0, "192.0.2.7")
					client.greet()
					clients.Go(func() {
						client.send("AUTH PLAIN " + b64("\x00alice\x00"+c.password) + "\r\n")
						switch reply := client.reply(); {
						case strings.HasPrefix(reply, "235"):
							right.Add(1)
						case strings.HasPrefix(reply, wrongLogin):
							wrong.Add(1)
						case strings.HasPrefix(reply, tooManyFailed):
							refused.Add(1)
						default:
							t.Error(reply)
						}
					})
				}
				clients.Wait()
			}, &smtpserver.Server{Auth: auth})
			if checked.Load() != c.checked || right.Load() != c.right || wrong.Load() != c.wrong || refused.Load() != c.refused || most.Load() > 10 {
				t.Errorf("checked %d (%d at once), right %d, wrong %d, refused %d", checked.Load(), most.Load(), right.Load(), wrong.Load(), refused.Load())
			}
		})
	}
}

// A login that waits too long for others from its address gets a temporary
// error. Shutdown ends the wait.
func TestLoginLimitWithSlowChecks(t *testing.T) {
	srv := &smtpserver.Server{LoginLimit: &smtpserver.LoginLimit{Failures: 1}}
	srv.Auth = smtpserver.PasswordAuth(func(context.Context, *smtpserver.Session, string, string) error {
		time.Sleep(time.Minute)
		return nil
	})
	loginServers(t, func(dial func(int, string) *raw) {
		a, b := dial(0, "192.0.2.7"), dial(0, "192.0.2.7")
		a.greet()
		b.greet()
		a.send("AUTH PLAIN " + b64("\x00alice\x00x") + "\r\n")
		synctest.Wait()
		took(t, 30*time.Second, func() { b.login("x", "454 4.7.0 Too many logins from your address at the same time") })
		b.send("AUTH PLAIN " + b64("\x00alice\x00x") + "\r\n")
		synctest.Wait()
		ended := make(chan error)
		go func() { ended <- srv.Shutdown(context.Background()) }()
		b.expect("421 4.3.2")
		b.gone()
		a.expect("235")
		a.expect("421 4.3.2")
		a.gone()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}, srv)
}

// A mechanism that panics does not leave its login counted as being checked.
func TestLoginLimitAfterPanic(t *testing.T) {
	srv := &smtpserver.Server{LoginLimit: &smtpserver.LoginLimit{Failures: 1}}
	srv.Auth = smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, _ string) error {
		if user == "panic" {
			panic("no")
		}
		return nil
	})
	loginServers(t, func(dial func(int, string) *raw) {
		c := dial(0, "192.0.2.7")
		c.greet()
		c.send("AUTH PLAIN " + b64("\x00panic\x00x") + "\r\n")
		c.expect("421 4.3.0")
		c = dial(0, "192.0.2.7")
		c.greet()
		took(t, 0, func() { c.login("x", "235") })
	}, srv)
}

// The log has one line when an address reaches the limit. It contains no
// credentials.
func TestLoginLimitInLogs(t *testing.T) {
	var log, protocol bytes.Buffer
	srv := &smtpserver.Server{Auth: wonderland(), Logger: slog.New(slog.NewTextHandler(&log, nil))}
	srv.ProtocolLog = smtpserver.SlogProtocolLog(slog.New(slog.NewTextHandler(&protocol, nil)), slog.LevelInfo)
	loginServers(t, func(dial func(int, string) *raw) {
		c := dial(0, "192.0.2.7")
		c.greet()
		for range 10 {
			c.login("guess", wrongLogin)
		}
		c.login("wonderland", tooManyFailed)
		c.quit()
	}, srv)
	if n := strings.Count(log.String(), `msg="login limit reached"`); n != 1 || !strings.Contains(log.String(), "client=192.0.2.7:1025 failures=10 period=1m0s") {
		t.Errorf("%d lines in the log:\n%s", n, log.String())
	}
	if !strings.Contains(log.String(), `by="login limit" code=454`) || srv.Counters().Refusals["login limit"] != 1 {
		t.Errorf("the refusal is not in the log or the counters: %v\n%s", srv.Counters().Refusals, log.String())
	}
	if !strings.Contains(protocol.String(), "login limit: 10 failed logins from this address") {
		t.Errorf("protocol log:\n%s", protocol.String())
	}
	if all := log.String() + protocol.String(); strings.Contains(all, "wonderland") || strings.Contains(all, b64("\x00alice\x00wonderland")) {
		t.Error("a password is in a log")
	}
}

func addressNumber(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(i))
	return netip.AddrFrom4(b)
}

// When the table is full, addresses that have reached the limit stay in it, and
// addresses without failed logins are not refused. After the period all places
// are free again.
func TestLoginLimitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &smtpserver.LoginLimit{Addresses: 100}
		guesser := netip.MustParseAddr("192.0.2.7")
		for range 10 {
			smtpserver.FailLogin(l, guesser)
		}
		for i := range 10_000 {
			if !smtpserver.FailLogin(l, addressNumber(i)) {
				t.Fatalf("address %d was refused at its first login", i)
			}
		}
		if n := smtpserver.LoginAddresses(l); n != 100 {
			t.Errorf("%d addresses are remembered, want 100", n)
		}
		if smtpserver.FailLogin(l, guesser) {
			t.Error("the address that reached the limit was forgotten")
		}
		time.Sleep(time.Minute)
		for i := range 20 {
			smtpserver.FailLogin(l, addressNumber(20_000+i%2))
		}
		if n := smtpserver.LoginAddresses(l); n > 62 {
			t.Errorf("%d addresses are remembered after the period", n)
		}
	})
}

// All addresses in the table have reached the limit: others are still not
// refused, and the table does not grow.
func TestLoginLimitFullOfGuessers(t *testing.T) {
	l := &smtpserver.LoginLimit{Addresses: 10}
	for i := range 1000 {
		for range 10 {
			if !smtpserver.FailLogin(l, addressNumber(i)) {
				t.Fatalf("address %d was refused early", i)
			}
		}
		if smtpserver.FailLogin(l, addressNumber(i)) {
			t.Fatalf("address %d was not refused", i)
		}
	}
	if n := smtpserver.LoginAddresses(l); n != 10 {
		t.Errorf("%d addresses are remembered, want 10", n)
	}
}

// The documented size of a full table: about 160 bytes for each address.
func TestLoginLimitMemory(t *testing.T) {
	const n = 32768
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	l := &smtpserver.LoginLimit{}
	for i := range 2 * n {
		smtpserver.FailLogin(l, addressNumber(i))
	}
	used := int64(heap()) - int64(before)
	t.Logf("%d bytes for each of %d addresses", used/n, smtpserver.LoginAddresses(l))
	if used/n > 250 {
		t.Errorf("%d bytes for each address", used/n)
	}
	runtime.KeepAlive(l)
}

func BenchmarkLoginLimit(b *testing.B) {
	for _, size := range []int{1000, 32768} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := &smtpserver.LoginLimit{Addresses: size}
			for i := range b.N {
				smtpserver.FailLogin(l, addressNumber(i))
			}
		})
	}
}

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Two servers count failed logins together. The webmail server, from which all
// users log in, is exempt.
func ExampleLoginLimit() {
	limit := &smtpserver.LoginLimit{
		Failures: 5,
		Period:   10 * time.Minute,
		Exempt:   []netip.Prefix{netip.MustParsePrefix("10.1.0.80/32")},
	}
	check := smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, username, password string) error {
		return errors.New("wrong password")
	})
	relay := &smtpserver.Server{Name: "relay", Auth: check, LoginLimit: limit}
	submission := &smtpserver.Server{Name: "submission", Auth: check, LoginLimit: limit}
	fmt.Println(relay.Validate(), submission.Validate())
	// Output: <nil> <nil>
}
