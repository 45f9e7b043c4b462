package policy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
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

// sleep lets time pass in a synctest bubble.
func sleep(d time.Duration) { <-time.After(d) }

func rcptTo(from, to, reply string) string {
	return mailFrom(from, "250") + "\nC: RCPT TO:<" + to + ">\nS: " + reply
}

func TestGreylist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Greylist{Known: 2}
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
		try("192.0.2.99", "A@example.net", "Alice@example.com", "250") // another host of the site
		try(stranger, "a@example.net", "alice@example.com", "250")
		try(stranger, "b@example.net", "alice@example.com", "451")
		try("198.51.100.1", "a@example.net", "alice@example.com", "451")
		try(neighbour, "c@example.net", "alice@example.com", "250") // bypasses

		// The second sending that passes makes the network known.
		sleep(5 * time.Minute)
		try(stranger, "b@example.net", "alice@example.com", "250")
		try(stranger, "new@example.net", "alice@example.com", "250")
		sleep(34 * 24 * time.Hour)
		try(stranger, "new@example.net", "alice@example.com", "250")
		sleep(36 * 24 * time.Hour)
		try(stranger, "new@example.net", "alice@example.com", "451")

		// Who comes again too late has not come again.
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
		t.Error("does not pass")
	}
	var saved bytes.Buffer
	if err := g.Save(&saved); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(saved.String(), "alice") {
		t.Error("addresses are in what is saved")
	}
	again := new(Greylist)
	if err := again.Load(bytes.NewReader(saved.Bytes())); err != nil {
		t.Fatal(err)
	}
	if again.wait(site, "a@example.net", "alice@example.com", now.Add(11*time.Minute)) != 0 {
		t.Error("does not pass after loading")
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

// A flood of new senders does not fill the memory.
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
		// In the next hour some of it still counts, in the one after that nothing.
		sleep(80 * time.Minute)
		srv.Talk(t, stranger, as(alice, one+"C: MAIL FROM:<x@example.com>\nS: 450"))
		sleep(3 * time.Hour)
		const rcpt = "C: RCPT TO:<y@example.net>\nS: "
		srv.Talk(t, stranger, as(alice, one+one+"C: MAIL FROM:<x@example.com>\nS: 250\n"+strings.Repeat(rcpt+"250\n", 5)+rcpt+"450 4.7.1 Too many recipients"))

		srv.Talk(t, stranger, mailFrom("x@example.org", "250")+"\n"+strings.Repeat(rcpt+"250\n", 20)+rcpt+"450")
		srv.Talk(t, neighbour, mailFrom("x@example.org", "250")+"\n"+strings.Repeat(rcpt+"250\n", 30))
	})
}

// Whoever logs in as Alice and as ALICE is one and the same.
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

// Two connectors with the same Rates count together.
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

func TestReputation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ds := mustDomains(t, Domain{Name: "example.com", Directory: Recipients("alice")})
		r := &Reputation{Domains: ds, Exempt: networks(t, "203.0.113.0/24")}
		relay := &Relay{Domains: ds, Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
		srv := serve(t, &smtpserver.Server{Agents: []smtpserver.Agent{relay.Agent(), r.Agent()}, Limits: smtpserver.Limits{UnknownRecipients: -1}})
		harvest := mailFrom("x@example.net", "250") + strings.Repeat("\nC: RCPT TO:<nobody@example.com>\nS: 550 5.1.1", 25)
		const refused = "550 5.7.1 Mail from your address is refused for a time"

		for from, want := range map[string]string{stranger: refused, neighbour: "250", "203.0.113.1": "250"} {
			srv.Talk(t, from, harvest)
			srv.Talk(t, from, mailFrom("x@example.net", want))
		}
		srv.Talk(t, "192.0.2.2", mailFrom("x@example.net", "250")) // not a neighbour's fault
		// To try on while blocked makes it no longer.
		srv.Talk(t, stranger, mailFrom("x@example.net", refused)+strings.Repeat("\nC: MAIL FROM:<x@example.net>\nS: 550", 50))
		sleep(23 * time.Hour)
		srv.Talk(t, stranger, mailFrom("x@example.net", refused))
		sleep(time.Hour)
		srv.Talk(t, stranger, mailFrom("x@example.net", "250"))

		// Much good mail outweighs some that is bad.
		good := mailHeader("x@example.net", "Subject: x", "250")
		for range 30 {
			srv.Talk(t, stranger, good)
		}
		srv.Talk(t, stranger, harvest)
		if l := r.Level(netip.MustParseAddr(stranger)); l != 4 {
			t.Errorf("level %d, want 4", l)
		}
		srv.Talk(t, stranger, mailFrom("x@example.net", "250"))
		sleep(5 * 24 * time.Hour) // what was long ago does not make a level
		if l := r.Level(netip.MustParseAddr(stranger)); l != 0 {
			t.Errorf("level %d after days, want 0", l)
		}

		r.Block(netip.MustParseAddr("198.51.100.1"), time.Hour)
		srv.Talk(t, "198.51.100.1", mailFrom("x@example.net", refused))
		r.Block(netip.MustParseAddr("198.51.100.1"), 0)
		srv.Talk(t, "198.51.100.1", mailFrom("x@example.net", "250"))
	})
}

// A client that lies about its name and sends spam loses its reputation.
func TestReputationOfLiars(t *testing.T) {
	ds := mustDomains(t, Domain{Name: "example.com"})
	for helo, forged := range map[string]bool{
		"test.example":   true, // the server's own name
		"Example.com":    true,
		"[203.0.113.9]":  true,
		"203.0.113.9":    true,
		"[192.0.2.1]":    false,
		"192.0.2.1":      false,
		"mx.example.com": false,
		"client.example": false,
		"[garbage":       false,
	} {
		r := &Reputation{Domains: ds, MinPoints: 3}
		srv := serveAgents(t, r.Agent())
		want := "250"
		if forged {
			want = "550 5.7.1"
		}
		srv.Talk(t, stranger, "S: 220\nC: EHLO "+helo+"\nS: 250\nC: EHLO "+helo+"\nS: 250\nC: MAIL FROM:<x@example.net>\nS: "+want)
		if blocked := r.blocked(netip.MustParseAddr(stranger), time.Now()); blocked != forged {
			t.Errorf("HELO %s: blocked %v, want %v", helo, blocked, forged)
		}
	}
	r := &Reputation{MinPoints: 4}
	srv := serveAgents(t, r.Agent(), smtpserver.Agent{EndOfData: func(ctx context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
		r.Spam(ctx, s)
		r.Spam(ctx, s)
		r.Spam(ctx, s)
		r.Spam(ctx, s)
		return nil
	}})
	srv.Talk(t, stranger, mailHeader("x@example.net", "Subject: x", "250"))
	srv.Talk(t, stranger, mailFrom("x@example.net", "550 5.7.1"))
}

// A restart forgets nothing.
func TestReputationSaved(t *testing.T) {
	bad, good, six := netip.MustParseAddr(stranger), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")
	now := time.Now()
	r := new(Reputation)
	r.add(bad, 0, 25, now)
	r.add(good, 30, 40, now)
	r.Block(six, time.Hour)
	var saved bytes.Buffer
	if err := r.Save(&saved); err != nil {
		t.Fatal(err)
	}
	again := new(Reputation)
	if err := again.Load(bytes.NewReader(saved.Bytes())); err != nil {
		t.Fatal(err)
	}
	if !again.blocked(bad, now.Add(23*time.Hour)) || again.blocked(bad, now.Add(25*time.Hour)) {
		t.Error("the block is another")
	}
	if !again.blocked(netip.MustParseAddr("2001:db8::2"), now) || again.blocked(netip.MustParseAddr("2001:db8:0:1::1"), now) {
		t.Error("the block of an IPv6 network is another")
	}
	if l := again.Level(good); again.blocked(good, now) || l != r.Level(good) || l == 0 {
		t.Errorf("level %d, want %d", l, r.Level(good))
	}
	damaged := bytes.Clone(saved.Bytes())
	damaged[len(reputationMagic)+20] ^= 1
	for name, b := range map[string][]byte{"nothing": nil, "a greylist": []byte(greyMagic), "damaged": damaged, "cut": saved.Bytes()[:saved.Len()-1]} {
		other := new(Reputation)
		if err := other.Load(bytes.NewReader(b)); err == nil || len(other.clients.m) > 0 {
			t.Errorf("%s: error %v, %d clients", name, err, len(other.clients.m))
		}
	}
	if err := (&Reputation{Max: 2}).Load(bytes.NewReader(saved.Bytes())); err == nil || !strings.Contains(err.Error(), "more entries than Max") {
		t.Errorf("more than Max: %v", err)
	}
}

// FuzzReputationLoad: what is loaded can be counted with.
func FuzzReputationLoad(f *testing.F) {
	ip := netip.MustParseAddr(stranger)
	f.Add(math.Float64bits(1), math.Float64bits(25), int64(0), int64(0))
	f.Add(math.Float64bits(math.NaN()), math.Float64bits(math.Inf(1)), int64(math.MaxInt64), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, good, bad uint64, at, blocked int64) {
		a := ip.As16()
		b := append([]byte(reputationMagic), a[:]...)
		for _, v := range []uint64{good, bad, uint64(at), uint64(blocked)} {
			b = binary.BigEndian.AppendUint64(b, v)
		}
		var file bytes.Buffer
		if err := writeSaved(&file, b); err != nil {
			t.Fatal(err)
		}
		r := new(Reputation)
		if err := r.Load(&file); err != nil {
			t.Fatal(err)
		}
		r.add(ip, 1, 1, time.Now())
		if l := r.Level(ip); l < 0 || l > 9 {
			t.Errorf("level %d", l)
		}
	})
}

// Mail programs greet with the address that they have at home, and show only
// afterwards that they are one of us.
func TestReputationOfUsersAtHome(t *testing.T) {
	r := &Reputation{MinPoints: 5}
	relay := &Relay{Authenticated: true}
	srv := servePasswords(t, relay.Agent(), r.Agent())
	for range 10 {
		srv.Talk(t, stranger, "S: 220\nC: EHLO [192.168.1.7]\nS: 250\nC: AUTH PLAIN AGFsaWNlAGVjaWxh\nS: 235\nC: MAIL FROM:<x@example.net>\nS: 250")
	}
	srv.Talk(t, stranger, mailFrom("x@example.net", "250")) // a server of theirs
	if l := r.Level(netip.MustParseAddr(stranger)); l != 0 {
		t.Errorf("level %d, want 0", l)
	}
	// A stranger who lies is counted once a session.
	srv.Talk(t, stranger, "S: 220\nC: EHLO [192.168.1.7]\nS: 250"+strings.Repeat("\nC: MAIL FROM:<x@example.net>\nS: 250\nC: RSET\nS: 250", 9))
	srv.Talk(t, stranger, "S: 220\nC: EHLO [192.168.1.7]\nS: 250\nC: MAIL FROM:<x@example.net>\nS: 550")
}

// Back pressure: slower and slower, then closed to the outside; with high
// pressure to all; and back in its own time.
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
		mail(stranger, "250", 2*time.Second) // and its second measurement makes it 5 s
		mail(stranger, "250", 5*time.Second) // then 6, the most
		mail(stranger, refused, 6*time.Second)
		mail(stranger, refused, 0)
		mail(neighbour, "250", 0)
		set(98)
		mail(neighbour, refused, 0)
		mail(stranger, refused, 0)
		set(96) // not yet low enough
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
			t.Errorf("level %v when it cannot be measured, want that of before", l)
		}
		failing.Store(false)
		set(84)
		mail(stranger, "250", 0)

		// While a client waits it may get worse.
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
		{Resource{Name: "x", Use: use, Medium: 2, High: 1}, "High must be set, and not below Medium"},
		{Resource{Name: "x", Use: use, Medium: 1, High: 2, HighEnd: 3}, "not in the order"},
		{Resource{Name: "x", Use: use, Medium: 1, High: 2, MediumEnd: 1.5}, "not in the order"},
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
		t.Error("a disk that is not there is measured")
	}
}

// A store that does not answer does not hold up all who say MAIL.
func TestQueueLengthDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := QueueLength(stuck{}).Use(); err == nil {
			t.Error("a queue is measured that does not answer")
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("waited %v", d)
		}
	})
}

// stuck is a store whose server does not answer.
type stuck struct{ queue.Store }

func (stuck) Hops(ctx context.Context) ([]queue.HopSum, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// FuzzGreylistLoad: what is not a saved list is an error and changes nothing.
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
