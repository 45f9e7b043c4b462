package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// sleep waits in a synctest bubble.
func sleep(d time.Duration) { <-time.After(d) }

func rcptTo(from, to, reply string) string {
	return mailFrom(from, "250") + "\nC: RCPT TO:<" + to + ">\nS: " + reply
}

func TestGreylist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Greylist{KnownAfter: 2, Exempt: networks(t, "203.0.113.0/24")}
		relay := &Relay{Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, Domains: mustDomains(t, Domain{Name: "example.com"})}
		srv := serveAgents(t, relay.Agent(), g.Agent())
		try := func(client, from, to, want string) {
			t.Helper()
			srv.Talk(t, client, rcptTo(from, to, want))
		}
		try(stranger, "a@example.net", "alice@example.com", "451 4.7.1 Greylisted, please try again in 300 seconds")
		sleep(4 * time.Minute)
		try(stranger, "a@example.net", "alice@example.com", "451 4.7.1 Greylisted, please try again in 60 seconds")
		sleep(time.Minute)
		try("192.0.2.99", "A@example.net", "Alice@example.com", "250") // another host of the network
		try(stranger, "a@example.net", "alice@example.com", "250")
		try(stranger, "b@example.net", "alice@example.com", "451")
		try("198.51.100.1", "a@example.net", "alice@example.com", "451")
		try(neighbour, "c@example.net", "alice@example.com", "250") // skipped
		try("203.0.113.1", "c@example.net", "alice@example.com", "250")

		// After the second accepted triplet the network is known.
		sleep(5 * time.Minute)
		try(stranger, "b@example.net", "alice@example.com", "250")
		try(stranger, "new@example.net", "alice@example.com", "250")
		sleep(34 * 24 * time.Hour)
		try(stranger, "new@example.net", "alice@example.com", "250")
		sleep(36 * 24 * time.Hour)
		try(stranger, "new@example.net", "alice@example.com", "451")

		// A retry after RetryWindow is a first attempt.
		sleep(49 * time.Hour)
		try(stranger, "new@example.net", "alice@example.com", "451 4.7.1 Greylisted, please try again in 300 seconds")
	})
}

func TestGreylistSaved(t *testing.T) {
	site := netip.MustParsePrefix("192.0.2.0/24")
	now := time.Unix(1_000_000, 0)
	g := new(Greylist)
	g.wait(site, "a@example.net", "alice@example.com", now)
	g.wait(site, "b@example.net", "alice@example.com", now.Add(10*time.Minute))
	if g.wait(site, "a@example.net", "alice@example.com", now.Add(10*time.Minute)) != 0 {
		t.Error("the retry is not accepted")
	}
	var saved bytes.Buffer
	if err := g.Save(&saved); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(saved.String(), "alice") {
		t.Error("the saved state contains addresses")
	}
	again := new(Greylist)
	if err := again.Load(bytes.NewReader(saved.Bytes())); err != nil {
		t.Fatal(err)
	}
	if again.wait(site, "a@example.net", "alice@example.com", now.Add(11*time.Minute)) != 0 {
		t.Error("the retry is not accepted after Load")
	}
	if got := again.wait(site, "b@example.net", "alice@example.com", now.Add(11*time.Minute)); got != 240 {
		t.Errorf("has to wait %d seconds, want 240", got)
	}
	damaged := bytes.Clone(saved.Bytes())
	damaged[len(greyMagic)] ^= 1
	for name, b := range map[string][]byte{
		"nothing": nil, "something else": []byte("hello"), "damaged": damaged,
		"cut": saved.Bytes()[:saved.Len()-1], "longer": append(bytes.Clone(saved.Bytes()), 'x'),
	} {
		if err := new(Greylist).Load(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: loaded without an error", name)
		}
	}
	if err := (&Greylist{Max: 1}).Load(bytes.NewReader(saved.Bytes())); err == nil {
		t.Error("more than Max were loaded")
	}
}

// The number of stored entries is limited.
func TestGreylistIsBounded(t *testing.T) {
	g := &Greylist{Max: 100}
	for i := range 10_000 {
		g.wait(netip.MustParsePrefix("192.0.2.0/24"), fmt.Sprint(i), "alice@example.com", time.Unix(int64(i), 0))
	}
	if n := len(g.entries.m); n > 100 {
		t.Errorf("%d entries, Max is 100", n)
	}
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Rates{Rates: []Rate{
			{By: ByIdentity, Messages: 3, Recipients: 5, Per: time.Hour, ExemptIdentities: []string{"bob"}},
			{By: BySenderDomain, Recipients: 20, Per: 24 * time.Hour, Exempt: networks(t, "10.0.0.0/8")},
		}}
		srv := servePasswords(t, r.Agent())
		as := func(auth, rest string) string {
			return "S: 220\nC: EHLO client.example\nS: 250\nC: AUTH PLAIN " + auth + "\nS: 235\n" + rest
		}
		const alice, bob = "AGFsaWNlAGVjaWxh", "AGJvYgBib2I="
		const one = "C: MAIL FROM:<x@example.com>\nS: 250\nC: RSET\nS: 250\n"
		srv.Talk(t, stranger, as(alice, strings.Repeat(one, 3)+"C: MAIL FROM:<x@example.com>\nS: 450 4.7.1 Too many messages"))
		srv.Talk(t, "203.0.113.9", as(alice, "C: MAIL FROM:<x@example.com>\nS: 450"))
		srv.Talk(t, stranger, as(bob, strings.Repeat(one, 9)))
		// In the next hour a part of the count remains, and in the hour after
		// that nothing.
		sleep(80 * time.Minute)
		srv.Talk(t, stranger, as(alice, one+"C: MAIL FROM:<x@example.com>\nS: 450"))
		sleep(3 * time.Hour)
		const rcpt = "C: RCPT TO:<y@example.net>\nS: "
		srv.Talk(t, stranger, as(alice, one+one+"C: MAIL FROM:<x@example.com>\nS: 250\n"+strings.Repeat(rcpt+"250\n", 5)+rcpt+"450 4.7.1 Too many recipients"))

		srv.Talk(t, stranger, mailFrom("x@example.org", "250")+"\n"+strings.Repeat(rcpt+"250\n", 20)+rcpt+"450")
		srv.Talk(t, neighbour, mailFrom("x@example.org", "250")+"\n"+strings.Repeat(rcpt+"250\n", 30))
	})
}

// A client that authenticates as Alice and as ALICE is one identity.
func TestRatesOfIdentitiesInAllCases(t *testing.T) {
	r := &Rates{Rates: []Rate{{By: ByIdentity, Messages: 2, ExemptIdentities: []string{"Bob"}}}}
	id := ""
	srv := serveAgents(t, smtpserver.Agent{Connect: func(_ context.Context, s *smtpserver.Session) error {
		s.SetIdentity(id)
		return nil
	}}, r.Agent())
	for _, tt := range []struct{ id, want string }{{"alice", "250"}, {"Alice", "250"}, {"ALICE", "450"}, {"bob", "250"}, {"BOB", "250"}, {"bob", "250"}} {
		id = tt.id
		srv.Talk(t, stranger, mailFrom("x@example.com", tt.want))
	}
}

// Two receive connectors with the same Rates share the counts.
func TestRatesOfTwoServers(t *testing.T) {
	r := &Rates{Rates: []Rate{{By: ByAddress, Messages: 1}}}
	serveAgents(t, r.Agent()).Talk(t, stranger, mailFrom("x@example.com", "250"))
	serveAgents(t, r.Agent()).Talk(t, stranger, mailFrom("x@example.com", "450"))
}

func TestRateKeys(t *testing.T) {
	for _, tt := range []struct {
		by           RateKey
		a, b         string // clients
		fromA, fromB string
		same         bool
	}{
		{ByAddress, "192.0.2.1", "192.0.2.2", "", "", false},
		{ByAddress, "2001:db8::1", "2001:db8::2", "", "", true},
		{ByNetwork, "192.0.2.1", "192.0.2.2", "", "", true},
		{ByNetwork, "192.0.2.1", "192.0.3.1", "", "", false},
		{BySender, "192.0.2.1", "192.0.2.2", "X@example.com", "x@EXAMPLE.com", true},
		{BySender, "192.0.2.1", "192.0.2.1", "x@example.com", "y@example.com", false},
		{BySenderDomain, "192.0.2.1", "192.0.2.1", "x@example.com", "y@example.com", true},
	} {
		srv := serveAgents(t, (&Rates{Rates: []Rate{{By: tt.by, Messages: 1}}}).Agent())
		want := "250"
		if tt.same {
			want = "450"
		}
		srv.Talk(t, tt.a, mailFrom(tt.fromA, "250"))
		srv.Talk(t, tt.b, mailFrom(tt.fromB, want))
	}
	c := newRateCounter(Rate{By: ByAddress, Messages: 1}, 50)
	for i := range 1000 {
		c.take(fmt.Sprint(i), 1, 0, time.Now())
	}
	if n := len(c.windows.m); n > 50 {
		t.Errorf("%d windows, Max is 50", n)
	}
}

// At medium pressure, mail from outside is delayed more and more, and then
// refused. At high pressure, all mail is refused. Later the level falls again.
func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var use atomic.Int64
		var failing atomic.Bool
		p := &Pressure{Delay: 2 * time.Second, Step: 3 * time.Second, MaxDelay: 6 * time.Second,
			Resources: []Resource{{Name: "disk", Medium: 90, High: 97, MediumEnd: 85, HighEnd: 95, Use: func() (float64, error) {
				if failing.Load() {
					return 0, errors.New("cannot tell")
				}
				return float64(use.Load()), nil
			}}}}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		relay := &Relay{Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
		srv := serveAgents(t, relay.Agent(), p.Agent())
		mail := func(from, want string, takes time.Duration) {
			t.Helper()
			began := time.Now()
			srv.Talk(t, from, mailFrom("x@example.net", want))
			if d := time.Since(began); d != takes {
				t.Errorf("took %v, want %v", d, takes)
			}
		}
		const refused = "452 4.3.1 Insufficient system resources"
		set := func(percent int64) { use.Store(percent); sleep(2 * time.Second) }

		mail(stranger, "250", 0)
		set(91)
		mail(neighbour, "250", 0)
		mail(stranger, "250", 2*time.Second) // the second measurement at this level makes it 5 s
		mail(stranger, "250", 5*time.Second) // then 6 s, the maximum
		mail(stranger, refused, 6*time.Second)
		mail(stranger, refused, 0)
		mail(neighbour, "250", 0)
		set(98)
		mail(neighbour, refused, 0)
		mail(stranger, refused, 0)
		set(96) // not yet below MediumEnd
		mail(neighbour, refused, 0)
		set(94)
		mail(neighbour, "250", 0)
		mail(stranger, "250", 2*time.Second)
		set(86)
		if l := p.Level(); l != MediumPressure {
			t.Errorf("level %v at 86, want medium", l)
		}
		failing.Store(true)
		set(10)
		if l := p.Level(); l != MediumPressure {
			t.Errorf("level %v when the resource cannot be measured, want the previous level", l)
		}
		failing.Store(false)
		set(84)
		mail(stranger, "250", 0)

		// The level may rise while a client waits.
		set(91)
		go func() {
			sleep(time.Second)
			use.Store(99)
		}()
		mail(stranger, refused, 2*time.Second)
	})
}

func TestPressureSettings(t *testing.T) {
	use := func() (float64, error) { return 0, nil }
	for _, tt := range []struct {
		r    Resource
		want string
	}{
		{Resource{Name: "x", High: 1}, `resource "x": Use is not set`},
		{Resource{Name: "x", Use: use}, "High must be set"},
		{Resource{Name: "x", Use: use, Medium: 2, High: 1}, "High must be set, and must not be below Medium"},
		{Resource{Name: "x", Use: use, Medium: 1, High: 2, HighEnd: 3}, "must be in the order"},
		{Resource{Name: "x", Use: use, Medium: 1, High: 2, MediumEnd: 1.5}, "must be in the order"},
	} {
		if err := (&Pressure{Resources: []Resource{tt.r}}).Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v, want one with %q", tt.r, err, tt.want)
		}
	}
	store := new(memory.Store)
	m := &queue.Message{ID: "one", Content: queue.String("Subject: x\r\n\r\n"), Recipients: queue.Rcpt("alice@example.com")}
	if err := store.Put(t.Context(), m, queue.Schedule{Due: time.Now()}); err != nil {
		t.Fatal(err)
	}
	p := &Pressure{Resources: []Resource{DiskUse(t.TempDir()), MemoryUse(1 << 40), QueueLength(store)}}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	for _, r := range p.Resources {
		if v, err := r.Use(); err != nil || v < 0 || v > 100 || r.Name == "queue" && v != 1 {
			t.Errorf("%s: %v, %v", r.Name, v, err)
		}
	}
	if v, err := MemoryUse(0).Use(); err == nil {
		t.Errorf("memory without a limit: %v percent", v)
	}
	if _, err := DiskUse("/nonexistent/dir").Use(); err == nil {
		t.Error("a missing disk is measured")
	}
	for want, p := range map[string]*Pressure{
		"policy: Pressure has no Resources": {},
		`policy: resource "disk of /nonexistent/dir" cannot be measured: no such file or directory`: {Resources: []Resource{DiskUse("/nonexistent/dir")}},
		`policy: resource "memory" cannot be measured: policy: no memory limit is set`:              {Resources: []Resource{MemoryUse(0)}},
	} {
		if err := p.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A store that does not answer does not block the clients at MAIL.
func TestQueueLengthDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := QueueLength(stuck{}).Use(); err == nil {
			t.Error("a queue that does not answer is measured")
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("waited %v", d)
		}
	})
}

// stuck is a store that does not answer.
type stuck struct{ queue.Store }

func (stuck) Hops(ctx context.Context) ([]queue.HopSum, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// FuzzGreylistLoad: input that is not a saved state is an error and changes
// nothing.
func FuzzGreylistLoad(f *testing.F) {
	g := new(Greylist)
	g.wait(netip.MustParsePrefix("192.0.2.0/24"), "a@example.net", "alice@example.com", time.Unix(1_000_000, 0))
	var saved bytes.Buffer
	if err := g.Save(&saved); err != nil {
		f.Fatal(err)
	}
	f.Add(saved.Bytes())
	f.Add([]byte(greyMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		g := &Greylist{Max: 10}
		if err := g.Load(bytes.NewReader(b)); err != nil && len(g.entries.m) > 0 {
			t.Errorf("%d entries of a list that is refused", len(g.entries.m))
		}
		if len(g.entries.m) > 10 {
			t.Errorf("%d entries, Max is 10", len(g.entries.m))
		}
	})
}
