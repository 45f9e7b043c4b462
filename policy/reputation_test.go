package policy

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestReputation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ds := mustDomains(t, Domain{Name: "example.com", Directory: Recipients("alice")})
		r := &Reputation{Domains: ds, Exempt: networks(t, "203.0.113.0/24")}
		relay := &Relay{Domains: ds, Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
		srv := serve(t, &smtpserver.Server{Agents: []smtpserver.Agent{relay.Agent(), r.Agent()}, Limits: smtpserver.Limits{UnknownRecipients: -1}})
		harvest := mailFrom("x@example.net", "250") + strings.Repeat("\nC: RCPT TO:<nobody@example.com>\nS: 550 5.1.1", 25)
		const refused = "550 5.7.1 Mail from your address is refused temporarily"

		for from, want := range map[string]string{stranger: refused, neighbour: "250", "203.0.113.1": "250"} {
			srv.Talk(t, from, harvest)
			srv.Talk(t, from, mailFrom("x@example.net", want))
		}
		srv.Talk(t, "192.0.2.2", mailFrom("x@example.net", "250")) // the client in Networks is not counted
		// Attempts during the block do not extend it.
		srv.Talk(t, stranger, mailFrom("x@example.net", refused)+strings.Repeat("\nC: MAIL FROM:<x@example.net>\nS: 550", 50))
		sleep(23 * time.Hour)
		srv.Talk(t, stranger, mailFrom("x@example.net", refused))
		sleep(time.Hour)
		srv.Talk(t, stranger, mailFrom("x@example.net", "250"))

		// Much good mail outweighs a few bad messages.
		good := mailHeader("x@example.net", "Subject: x", "250")
		for range 30 {
			srv.Talk(t, stranger, good)
		}
		srv.Talk(t, stranger, harvest)
		if l := r.Level(netip.MustParseAddr(stranger)); l != 4 {
			t.Errorf("level %d, want 4", l)
		}
		srv.Talk(t, stranger, mailFrom("x@example.net", "250"))
		sleep(5 * 24 * time.Hour) // old points do not make a level
		if l := r.Level(netip.MustParseAddr(stranger)); l != 0 {
			t.Errorf("level %d after days, want 0", l)
		}

		r.Block(netip.MustParseAddr("198.51.100.1"), time.Hour)
		srv.Talk(t, "198.51.100.1", mailFrom("x@example.net", refused))
		r.Block(netip.MustParseAddr("198.51.100.1"), 0)
		srv.Talk(t, "198.51.100.1", mailFrom("x@example.net", "250"))
	})
}

// A client with a forged HELO name that sends spam gets a bad level.
func TestReputationOfForgedHelo(t *testing.T) {
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

// The state is kept across a restart.
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
		t.Error("the block is different after loading")
	}
	if !again.blocked(netip.MustParseAddr("2001:db8::2"), now) || again.blocked(netip.MustParseAddr("2001:db8:0:1::1"), now) {
		t.Error("the block of an IPv6 network is different after loading")
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

// FuzzReputationLoad: the points of a loaded state are valid numbers.
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

// Mail programs send a private address as HELO name, and log in later. This is
// not counted.
func TestReputationOfUsersWithPrivateHelo(t *testing.T) {
	r := &Reputation{MinPoints: 5}
	relay := &Relay{Authenticated: true}
	srv := servePasswords(t, relay.Agent(), r.Agent())
	for range 10 {
		srv.Talk(t, stranger, "S: 220\nC: EHLO [192.168.1.7]\nS: 250\nC: AUTH PLAIN AGFsaWNlAGVjaWxh\nS: 235\nC: MAIL FROM:<x@example.net>\nS: 250")
	}
	srv.Talk(t, stranger, mailFrom("x@example.net", "250")) // another server
	if l := r.Level(netip.MustParseAddr(stranger)); l != 0 {
		t.Errorf("level %d, want 0", l)
	}
	// A forged HELO name of an unknown client is counted once per session.
	srv.Talk(t, stranger, "S: 220\nC: EHLO [192.168.1.7]\nS: 250"+strings.Repeat("\nC: MAIL FROM:<x@example.net>\nS: 250\nC: RSET\nS: 250", 9))
	srv.Talk(t, stranger, "S: 220\nC: EHLO [192.168.1.7]\nS: 250\nC: MAIL FROM:<x@example.net>\nS: 550")
}

// Blocks lists the addresses that are refused at present. Unblock ends a block and
// removes the points.
func TestReputationBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(Reputation)
		if got := r.Blocks(); len(got) != 0 || r.Unblock(netip.MustParseAddr(stranger)) {
			t.Errorf("a new Reputation has blocks %v", got)
		}
		srv := serve(t, &smtpserver.Server{Agents: []smtpserver.Agent{r.Agent()}})
		now := time.Now()
		r.Block(netip.MustParseAddr("2001:db8:0:1::25"), 2*time.Hour)
		r.Block(netip.MustParseAddr(stranger), time.Hour)
		r.Block(netip.MustParseAddr("198.51.100.1"), time.Minute)
		r.note(netip.MustParseAddr("198.51.100.2"), 0, 100) // blocked because of its points
		r.note(netip.MustParseAddr("198.51.100.3"), 1, 1)
		check := func(want ...ReputationBlock) {
			t.Helper()
			if got := r.Blocks(); !slices.Equal(got, want) {
				t.Errorf("blocks %v, want %v", got, want)
			}
		}
		of := func(network string, d time.Duration) ReputationBlock {
			return ReputationBlock{netip.MustParsePrefix(network), now.Add(d)}
		}
		check(of("192.0.2.1/32", time.Hour), of("198.51.100.1/32", time.Minute), of("198.51.100.2/32", 24*time.Hour), of("2001:db8:0:1::/64", 2*time.Hour))
		sleep(time.Minute)
		check(of("192.0.2.1/32", time.Hour), of("198.51.100.2/32", 24*time.Hour), of("2001:db8:0:1::/64", 2*time.Hour))

		srv.Talk(t, stranger, mailFrom("x@example.net", "550"))
		for ip, want := range map[string]bool{stranger: true, "2001:db8:0:1::99": true, "198.51.100.1": false, "198.51.100.3": false} {
			if got := r.Unblock(netip.MustParseAddr(ip)); got != want {
				t.Errorf("Unblock(%s) = %v, want %v", ip, got, want)
			}
		}
		srv.Talk(t, stranger, mailFrom("x@example.net", "250"))
		check(of("198.51.100.2/32", 24*time.Hour))
	})
}
