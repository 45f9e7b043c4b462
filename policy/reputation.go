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

// Reputation observes clients. It refuses clients that behave like spammers,
// for BlockTime (Exchange: protocol analysis, sender reputation). Each address
// (each /64 of IPv6) has a level from 0 (best) to 9. The level comes from good
// and bad points of the recent past:
//
//   - a HELO name that cannot belong to the client (this server's name, an
//     authoritative accepted domain, another address): 3 bad points, once per
//     session
//   - a recipient that does not exist (5.1.1): 1 bad point
//   - any other permanent refusal (5xx), except failed or missing
//     authentication: 1/2 bad point
//   - a message that an agent reports with [Reputation.Spam]: 2 bad points
//   - an open proxy, found by ProxyProbe: MinPoints bad points
//   - an accepted message: 1 good point
//
// Points lose half of their weight in each HalfLife. The level is 9 * bad
// points / all points. It is 0 while there are fewer than MinPoints points.
// Sessions with the right BypassAntiSpam are neither observed nor refused.
//
// The state is in memory; Save and Load keep it across a restart. The zero
// value is ready for use. The fields must not change once it is used. It is
// safe for concurrent use.
type Reputation struct {
	// Domains are the accepted domains. A HELO name in an authoritative domain
	// counts as forged. May be nil.
	Domains *Domains
	// BlockLevel is the level from which a client is refused, with 550 5.7.1
	// at MAIL. Default 7 (Exchange: SrlBlockThreshold).
	BlockLevel int
	// BlockTime is how long the client is refused. Default 24 h (Exchange:
	// SenderBlockingPeriod).
	BlockTime time.Duration
	// MinPoints is the minimum number of points for a level above 0. Default
	// 20 (Exchange: 20 messages).
	MinPoints int
	// HalfLife is the time in which points lose half of their weight. Default
	// 12 h.
	HalfLife time.Duration
	// ProxyProbe probes clients that get bad points. Nil means no probes.
	// Close it after the server has ended.
	ProxyProbe *ProxyProbe
	// Exempt networks are neither observed nor refused.
	Exempt *Networks
	// Max is the maximum number of addresses. If there are more, old entries
	// are removed. Default 100,000.
	Max int

	mu      sync.Mutex // guards the fields below
	clients bounded[netip.Prefix, record]
}

// record is the state of one address.
type record struct {
	good, bad float64
	at        time.Time // the time of the last change of the points
	blocked   time.Time // the end of the block
}

var errReputation = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Mail from your address is refused temporarily because of its reputation"}

// forgedHelo is the session value of a Reputation after a HELO name that
// cannot belong to the client. The name counts only at MAIL, because users
// behind routers send such names and authenticate afterwards.
type forgedHelo int

const (
	forgedHeloSeen forgedHelo = 1 + iota
	forgedHeloCounted
)

// Validate returns the error of ProxyProbe.Validate, or nil if ProxyProbe is
// nil.
func (r *Reputation) Validate() error {
	if r.ProxyProbe == nil {
		return nil
	}
	return r.ProxyProbe.Validate()
}

// Agent returns the agent, which decides at MAIL and observes the other events.
// Put it after all agents that refuse messages, because a message counts as
// good only if no agent refuses it.
func (r *Reputation) Agent() smtpserver.Agent { return r.agent(r.Domains) }

// agent is Agent with the given accepted domains, which may be those of a
// Gate.
func (r *Reputation) agent(domains *Domains) smtpserver.Agent {
	watch := func(ctx context.Context, s *smtpserver.Session, good, bad float64) {
		if ip, ok := r.watched(ctx, s); ok {
			r.note(ip, good, bad)
		}
	}
	return smtpserver.Agent{Name: "reputation",
		Inherit: func(d smtpserver.Defaults) { d.Inherit(r.ProxyProbe) },
		Helo: func(_ context.Context, s *smtpserver.Session, name string) error {
			if s.Value(r) == nil && forged(s, name, domains) {
				s.SetValue(r, forgedHeloSeen)
			}
			return nil
		},
		Mail: func(ctx context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			ip, ok := r.watched(ctx, s)
			if !ok {
				return nil
			}
			if s.Value(r) == forgedHeloSeen {
				s.SetValue(r, forgedHeloCounted)
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
			case e.Code < 500, e.Code == 535, e.Code == 530: // authentication has its own limits
			case e.EnhancedCode == errUnknown.EnhancedCode:
				watch(ctx, s, 0, 1)
			default:
				watch(ctx, s, 0, 0.5)
			}
		}}
}

// Spam counts the message of the session as spam, even if it is accepted.
func (r *Reputation) Spam(ctx context.Context, s *smtpserver.Session) {
	if ip, ok := r.watched(ctx, s); ok {
		r.note(ip, 0, 2)
	}
}

// Level returns the current level of an address, from 0 (best) to 9.
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

// Block refuses an address for the duration d. If d is 0 or negative, it
// removes the block and all points of the address.
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

// watched returns the address by which the session is observed, and whether it
// is observed.
func (r *Reputation) watched(ctx context.Context, s *smtpserver.Session) (netip.Addr, bool) {
	if ip, ok := clientIP(s); ok && r.Exempt.Contains(ip) {
		return ip, false
	}
	ip, ok := countedIP(s)
	return ip, ok && RightsOf(ctx, s)&BypassAntiSpam == 0
}

// forged reports whether the HELO name cannot belong to the client.
func forged(s *smtpserver.Session, helo string, domains *Domains) bool {
	ip, ok := clientIP(s)
	if literal, is := strings.CutPrefix(helo, "["); is {
		claimed, valid := parseIP(strings.TrimSuffix(literal, "]"))
		return valid && ok && claimed != ip
	}
	if claimed, err := netip.ParseAddr(helo); err == nil { // not a valid HELO name, and often forged
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

// note counts points. A client with bad points is probed.
func (r *Reputation) note(ip netip.Addr, good, bad float64) {
	now := time.Now()
	r.add(ip, good, bad, now)
	if bad > 0 && r.ProxyProbe != nil && !r.blocked(ip, now) {
		r.ProxyProbe.start(ip, func() { r.add(ip, 0, float64(r.minPoints()), time.Now()) })
	}
}

// add counts points, and blocks the client if its level is too high.
func (r *Reputation) add(ip netip.Addr, good, bad float64, now time.Time) {
	blockLevel, blockTime := r.BlockLevel, r.BlockTime
	setDefault(&blockLevel, 7)
	setDefault(&blockTime, 24*time.Hour)
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.record(ip)
	if now.Before(c.blocked) {
		return // it is already blocked
	}
	r.fade(c, now)
	c.good += good
	c.bad += bad
	if bad > 0 && r.level(c) >= blockLevel {
		*c = record{at: now, blocked: now.Add(blockTime)} // after the block it has no points
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

// fade reduces the points by their age.
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

// addressOf returns the network that counts as one client: an IPv4 address, or
// a /64 of IPv6, because one host has at least a /64.
func addressOf(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap()
	if ip.Is4() {
		return netip.PrefixFrom(ip, 32)
	}
	return networkOf(ip)
}
