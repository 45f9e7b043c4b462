package policy

import (
	"context"
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Reputation watches what clients do, and refuses those for a while that
// behave like spammers (Exchange: protocol analysis, sender reputation). Each
// address (IPv6: each /64) has a level from 0 to 9, from what was good and bad
// in the recent past:
//
//   - a HELO name that cannot be the client's (this server's own name, one of
//     the accepted domains, another's address), once a session: 3 bad points;
//   - a recipient that does not exist (5.1.1): 1;
//   - any other permanent refusal (5xx): 1/2;
//   - a message that an agent has called spam by [Reputation.Spam]: 2;
//   - an open proxy, found by OpenProxies: MinPoints;
//   - a message that was taken over: 1 good point.
//
// Points lose half of their weight in HalfLife. The level is nine times the
// share of the bad ones, and counts only once there are enough points.
// Sessions with the right BypassAntiSpam are neither watched nor refused.
//
// What it knows is in memory; Save and Load carry it over a restart. The zero
// value is ready for use; its fields must not change once it is.
type Reputation struct {
	// Domains make HELO names forged that pretend to be one of them. May be
	// nil.
	Domains *Domains
	// BlockLevel is from which level on a client is refused, with 550 5.7.1 at
	// MAIL. Default 7 (Exchange: SrlBlockThreshold).
	BlockLevel int
	// BlockTime is for how long. Default 24 h (Exchange:
	// SenderBlockingPeriod).
	BlockTime time.Duration
	// MinPoints is how many points make a level. Default 20 (Exchange: 20
	// messages).
	MinPoints int
	// HalfLife of points. Default 12 h.
	HalfLife time.Duration
	// OpenProxies probes clients that had bad points; nil probes none. Close it
	// when the server has ended.
	OpenProxies *ProxyProbe
	// Exempt networks are neither watched nor refused.
	Exempt *Networks
	// Max is how many addresses are watched; beyond it those are forgotten
	// that were quiet the longest time. Default 100,000.
	Max int

	mu      sync.Mutex // guards what follows
	clients bounded[netip.Prefix, record]
}

// record is what is known of one address.
type record struct {
	good, bad float64
	at        time.Time // of the points
	blocked   time.Time // until then
}

var errReputation = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Mail from your address is refused for a time because of what came from it"}

// lie is what a session has in its value of a Reputation, from a HELO name that
// cannot be the client's. It counts at MAIL: users greet so from behind their
// routers, and log in only then.
type lie int

const (
	lieHeard lie = 1 + iota
	lieCounted
)

// Validate tells what is wrong with the settings.
func (r *Reputation) Validate() error {
	if r.OpenProxies == nil {
		return nil
	}
	return r.OpenProxies.Validate()
}

// Agent judges at MAIL, and watches the rest. In a chain it belongs after all
// that refuse messages, as only what nobody has refused is good.
func (r *Reputation) Agent() smtpserver.Agent { return r.agent(r.Domains) }

// agent is Agent with the accepted domains, which may be those of a Gate.
func (r *Reputation) agent(domains *Domains) smtpserver.Agent {
	watch := func(ctx context.Context, s *smtpserver.Session, good, bad float64) {
		if ip, ok := r.watched(ctx, s); ok {
			r.note(ip, good, bad)
		}
	}
	return smtpserver.Agent{Name: "reputation",
		Helo: func(_ context.Context, s *smtpserver.Session, name string) error {
			if s.Value(r) == nil && forged(s, name, domains) {
				s.SetValue(r, lieHeard)
			}
			return nil
		},
		Mail: func(ctx context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			ip, ok := r.watched(ctx, s)
			if !ok {
				return nil
			}
			if s.Value(r) == lieHeard {
				s.SetValue(r, lieCounted)
				r.note(ip, 0, 3)
			}
			if r.blocked(ip, time.Now()) {
				return errReputation
			}
			return nil
		},
		EndOfData: func(ctx context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
			watch(ctx, s, 1, 0)
			return nil
		},
		Reject: func(ctx context.Context, s *smtpserver.Session, e *smtp.SMTPError) {
			switch {
			case e.Code < 500, e.Code == 535, e.Code == 530: // logins have limits of their own
			case e.EnhancedCode == errUnknown.EnhancedCode:
				watch(ctx, s, 0, 1)
			default:
				watch(ctx, s, 0, 0.5)
			}
		}}
}

// Spam notes that the session's message is spam, whatever becomes of it.
func (r *Reputation) Spam(ctx context.Context, s *smtpserver.Session) {
	if ip, ok := r.watched(ctx, s); ok {
		r.note(ip, 0, 2)
	}
}

// Level is what an address has now: 0, the best, to 9.
func (r *Reputation) Level(ip netip.Addr) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.clients.m[addressOf(ip)]
	if c == nil {
		return 0
	}
	r.fade(c, time.Now())
	return r.level(c)
}

// Block refuses an address for a time; 0 lets it in again.
func (r *Reputation) Block(ip netip.Addr, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.record(ip)
	now := time.Now()
	r.fade(c, now)
	if c.blocked = now.Add(d); d <= 0 {
		*c = record{at: now}
	}
}

// watched says whether the session is, and by which address.
func (r *Reputation) watched(ctx context.Context, s *smtpserver.Session) (netip.Addr, bool) {
	if ip, ok := clientIP(s); ok && r.Exempt.Contains(ip) {
		return ip, false
	}
	ip, ok := countedIP(s)
	return ip, ok && RightsOf(ctx, s)&BypassAntiSpam == 0
}

// forged says whether the HELO name cannot be the client's own.
func forged(s *smtpserver.Session, helo string, domains *Domains) bool {
	ip, ok := clientIP(s)
	if literal, is := strings.CutPrefix(helo, "["); is {
		claimed, valid := parseIP(strings.TrimSuffix(literal, "]"))
		return valid && ok && claimed != ip
	}
	if claimed, err := netip.ParseAddr(helo); err == nil { // not allowed, and often forged
		return ok && claimed.Unmap() != ip
	}
	name, err := addr.Domain(helo)
	if err != nil {
		return false
	}
	d := domains.Lookup(name)
	return name == addr.FoldDomain(s.Hostname()) || d != nil && d.Kind == Authoritative
}

func (r *Reputation) blocked(ip netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.clients.m[addressOf(ip)]
	return c != nil && now.Before(c.blocked)
}

// note counts points, and has clients probed that have given cause.
func (r *Reputation) note(ip netip.Addr, good, bad float64) {
	now := time.Now()
	r.add(ip, good, bad, now)
	if bad > 0 && r.OpenProxies != nil && !r.blocked(ip, now) {
		r.OpenProxies.start(ip, func() { r.add(ip, 0, float64(r.minPoints()), time.Now()) })
	}
}

// add counts points, and blocks the client when they are too many.
func (r *Reputation) add(ip netip.Addr, good, bad float64, now time.Time) {
	blockLevel, blockTime := r.BlockLevel, r.BlockTime
	setDefault(&blockLevel, 7)
	setDefault(&blockTime, 24*time.Hour)
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.record(ip)
	if now.Before(c.blocked) {
		return // it has its punishment
	}
	r.fade(c, now)
	c.good += good
	c.bad += bad
	if bad > 0 && r.level(c) >= blockLevel {
		*c = record{at: now, blocked: now.Add(blockTime)} // afterwards it starts anew
	}
}

func (r *Reputation) record(ip netip.Addr) *record {
	r.prepare()
	c, _ := r.clients.get(addressOf(ip))
	return c
}

func (r *Reputation) prepare() {
	if r.clients.max == 0 {
		if r.clients.max = r.Max; r.clients.max <= 0 {
			r.clients.max = 100_000
		}
		r.clients.used = func(c *record) int64 { return max(c.at.Unix(), c.blocked.Unix()) }
	}
}

// fade lets points lose their weight.
func (r *Reputation) fade(c *record, now time.Time) {
	half := r.HalfLife
	setDefault(&half, 12*time.Hour)
	if age := now.Sub(c.at); !c.at.IsZero() && age > 0 {
		f := math.Exp2(-float64(age) / float64(half))
		c.good *= f
		c.bad *= f
	}
	c.at = now
}

func (r *Reputation) level(c *record) int {
	if c.good+c.bad < float64(r.minPoints()) {
		return 0
	}
	return int(math.Round(9 * c.bad / (c.good + c.bad)))
}

func (r *Reputation) minPoints() int {
	least := r.MinPoints
	setDefault(&least, 20)
	return least
}

// addressOf is what stands for one client: an IPv6 host has a /64 at least.
func addressOf(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap()
	if ip.Is4() {
		return netip.PrefixFrom(ip, 32)
	}
	return networkOf(ip)
}
