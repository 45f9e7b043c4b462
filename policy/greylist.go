package policy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/settings"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Greylist defers the first attempt of a network to send mail from one sender
// to one recipient: 451 4.7.1 at RCPT. Mail servers try again; much spam
// software does not (RFC 6647). After several successful retries a network is
// known and is no longer deferred. Sessions with the right BypassAntiSpam are
// never deferred.
//
// A network is a /24 of IPv4 or a /64 of IPv6. The state is in memory; Save
// and Load keep it across a restart. The zero value is ready for use, with
// Postgrey's defaults. The fields must not change once it is used. It is safe
// for concurrent use.
type Greylist struct {
	// Delay is the minimum time between the first attempt and an accepted
	// retry. Default 5 min.
	Delay time.Duration
	// RetryWindow is the maximum time between the first attempt and an accepted
	// retry. A later retry counts as a first attempt. Default 48 h.
	RetryWindow time.Duration
	// Keep is the time for which an accepted triplet (network, sender,
	// recipient) or a known network is stored after its last use. Default 35
	// days.
	Keep time.Duration
	// KnownAfter is the number of different triplets of a network that must be
	// accepted before the network is known. Default 5; if it is negative, no
	// network becomes known.
	KnownAfter int
	// Exempt are networks that are never deferred, such as the organization's own
	// relays that forward mail from outside. May be nil.
	Exempt *Networks
	// Max is the maximum number of stored triplets and networks. If there are
	// more, old entries are removed. Default 1,000,000, about 150 MB.
	Max int

	mu      sync.Mutex // guards the fields below
	entries bounded[greyKey, greyEntry]
}

// greyKey is a hash of a triplet, or of a network alone.
type greyKey [16]byte

type greyEntry struct {
	first, last int64 // Unix time
	passed      int32
}

func (g *Greylist) settings() (delay, window, keep int64, known int32) {
	d, w, k, n := g.Delay, g.RetryWindow, g.Keep, g.KnownAfter
	setDefault(&d, 5*time.Minute)
	setDefault(&w, 48*time.Hour)
	setDefault(&k, 35*24*time.Hour)
	setDefault(&n, 5)
	return int64(d / time.Second), int64(w / time.Second), int64(k / time.Second), int32(n)
}

func setDefault[T int | time.Duration](v *T, standard T) {
	if *v == 0 {
		*v = standard
	}
}

// Validate returns an error that names each wrong setting.
func (g *Greylist) Validate() error {
	delay, window := g.Delay, g.RetryWindow
	setDefault(&delay, 5*time.Minute)
	setDefault(&window, 48*time.Hour)
	err := settings.Join("policy: Greylist.",
		settings.Time("Delay", g.Delay),
		settings.Time("RetryWindow", g.RetryWindow),
		settings.Time("Keep", g.Keep),
		settings.Number("Max", g.Max),
	)
	if window > 0 && delay >= window {
		err = errors.Join(err, fmt.Errorf("policy: Greylist.Delay is %v and RetryWindow is %v: no retry would be accepted", delay, window))
	}
	return err
}

// Agent returns the agent, which decides at RCPT. Put it after all agents that
// may refuse the recipient permanently.
func (g *Greylist) Agent() smtpserver.Agent {
	return Unless(BypassAntiSpam, smtpserver.Agent{Name: "greylist",
		Rcpt: func(_ context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			if ip, ok := clientIP(s); ok && g.Exempt.Contains(ip) {
				return nil
			}
			ip, ok := countedIP(s)
			if !ok {
				return nil
			}
			if left := g.wait(networkOf(ip), s.Message().From, to, time.Now()); left > 0 {
				return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1},
					Message: fmt.Sprintf("Greylisted, please try again in %d seconds", left)}
			}
			return nil
		}})
}

// networkOf returns the network of a client. The mail servers of one site may
// take turns within a /24, and one IPv6 host has at least a /64.
func networkOf(ip netip.Addr) netip.Prefix {
	bits := 24
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // bits fit the address
	return p
}

// wait returns how many seconds are left until a triplet is accepted.
func (g *Greylist) wait(network netip.Prefix, from, to string, at time.Time) int64 {
	delay, window, keep, known := g.settings()
	now := at.Unix()
	netKey := greyHash(network, "", "")
	g.mu.Lock()
	defer g.mu.Unlock()
	g.prepare()
	site := g.entries.m[netKey]
	if site != nil && now-site.last > keep {
		*site = greyEntry{last: now}
	}
	if site != nil && known > 0 && site.passed >= known && !network.Addr().IsUnspecified() { // clients without an address are not one site
		site.last = now
		return 0
	}
	e, made := g.entries.get(greyHash(network, fold(from), fold(to)))
	if made || e.passed == 0 && now-e.first > window || e.passed > 0 && now-e.last > keep {
		*e = greyEntry{first: now}
	}
	e.last = now
	if left := e.first + delay - now; e.passed == 0 && left > 0 {
		return left
	}
	if e.passed++; e.passed == 1 {
		site, _ = g.entries.get(netKey)
		site.passed++
		site.last = now
	}
	return 0
}

func (g *Greylist) prepare() {
	g.entries.used = func(e *greyEntry) int64 { return e.last }
	if g.entries.max = g.Max; g.entries.max <= 0 {
		g.entries.max = 1_000_000
	}
}

func greyHash(network netip.Prefix, from, to string) greyKey {
	b := make([]byte, 0, 256)
	b, _ = network.AppendBinary(b) // it has no error
	b = append(append(b, 0), from...)
	b = append(append(b, 0), to...)
	sum := sha256.Sum256(b)
	return greyKey(sum[:])
}

// greyMagic is the first line of the saved state. It identifies the format.
const greyMagic = "bridgehead greylist 1\n"

// greyRecord is the length of one entry: its key, two times and a number.
const greyRecord = 16 + 8 + 8 + 4

// Save writes the state to w. It contains hashes and times, no addresses.
func (g *Greylist) Save(w io.Writer) error {
	g.mu.Lock()
	b := make([]byte, 0, len(greyMagic)+greyRecord*len(g.entries.m)+savedSum)
	b = append(b, greyMagic...)
	for k, e := range g.entries.m {
		b = append(b, k[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(e.first))
		b = binary.BigEndian.AppendUint64(b, uint64(e.last))
		b = binary.BigEndian.AppendUint32(b, uint32(e.passed))
	}
	g.mu.Unlock()
	return writeSaved(w, b)
}

// Load adds a saved state. If r is damaged, Load returns an error and changes
// nothing.
func (g *Greylist) Load(r io.Reader) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.prepare()
	b, err := readSaved(r, "greylist", greyMagic, greyRecord, g.entries.max)
	if err != nil {
		return err
	}
	for ; len(b) > 0; b = b[greyRecord:] {
		e, _ := g.entries.get(greyKey(b[:16]))
		*e = greyEntry{first: int64(binary.BigEndian.Uint64(b[16:])), last: int64(binary.BigEndian.Uint64(b[24:])),
			passed: int32(binary.BigEndian.Uint32(b[32:]))}
	}
	return nil
}
