package smtpserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
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

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

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
	config := &tls.Config{GetCertificate: certificate} // AUTH needs TLS
	relay := &smtpserver.Server{Name: "relay", TLSConfig: config, Auth: check, LoginLimit: limit}
	submission := &smtpserver.Server{Name: "submission", TLSConfig: config, Auth: check, LoginLimit: limit}
	fmt.Println(relay.Validate(), submission.Validate())
	// Output: <nil> <nil>
}
