package policy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// RateKey selects the property of a client or sender by which a Rate counts.
type RateKey int

const (
	ByIdentity     RateKey = iota // the authenticated identity (case does not matter); other clients are not counted
	ByAddress                     // the client's IP address (IPv6: its /64)
	ByNetwork                     // the client's /24 or /64
	BySender                      // the reverse-path
	BySenderDomain                // the domain of the reverse-path
)

// A Rate limits the messages and recipients in a period. Each value of By, for
// example each identity, has its own count. A Rate limits how much mail can be
// sent with a stolen password or by an infected machine in hours or days.
// smtpserver.Limits has limits for each address and minute.
type Rate struct {
	By RateKey
	// Messages and Recipients are the limits per period; 0 means no limit.
	Messages, Recipients int
	// Per is the length of the period. Default 1 h. The limits always apply to
	// the most recent period of this length (a sliding window). The counts are
	// approximate.
	Per time.Duration
	// Exempt and ExemptIdentities are clients that are not counted.
	Exempt           *Networks
	ExemptIdentities []string
}

// Rates limits how much mail clients send. It answers 450 4.7.1 at MAIL or RCPT
// if a limit is exceeded. It must not be copied after Agent was called.
type Rates struct {
	// Rates are the limits; all of them apply.
	Rates []Rate
	// Max is the maximum number of entries for each rate. If there are more,
	// old entries are removed. Default 100,000.
	Max int
	// Shared, if set, makes the limits apply to all nodes together that share it. It
	// is usually the Store of the Queue, for example a postgres.Store. All nodes
	// must have the same Rates, in the same order. Default: each node counts for itself.
	//
	// No command waits for the Store. After a command that is counted, the node tells
	// the Store what it has counted, within 0.2 seconds, and learns the count of all
	// nodes. So all nodes together may accept more than a limit: what each node
	// accepts from the client from the first command until the answer, one message at
	// least. While the Store cannot be reached, each node applies
	// [queue.LimitWithoutContact] to its own counts. An exchange whose answer was lost
	// may count twice.
	Shared queue.CountSharer

	once     sync.Once
	counters []*rateCounter
	exchange *rateExchange // nil without Shared
}

var (
	errMessageRate   = &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Too many messages, try again later"}
	errRecipientRate = &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Too many recipients, try again later"}
)

// Validate returns an error that names each wrong setting.
func (r *Rates) Validate() error {
	var errs []error
	for i := range r.Rates {
		rate := &r.Rates[i]
		var wrong string
		switch {
		case rate.By < ByIdentity || rate.By > BySenderDomain:
			wrong = fmt.Sprintf("no such RateKey: %d", rate.By)
		case rate.Messages < 0 || rate.Recipients < 0 || rate.Per < 0:
			wrong = "Messages, Recipients and Per must not be negative"
		case rate.Messages == 0 && rate.Recipients == 0:
			wrong = "Messages or Recipients must be set"
		default:
			continue
		}
		errs = append(errs, fmt.Errorf("policy: Rates[%d]: %s", i, wrong))
	}
	return errors.Join(errs...)
}

// Agent returns the agent, which counts at MAIL and RCPT. Commands that it
// refuses are not counted.
func (r *Rates) Agent() smtpserver.Agent {
	r.once.Do(func() {
		if !settings.IsNil(r.Shared) {
			r.exchange = &rateExchange{shared: r.Shared}
		}
		for i, rate := range r.Rates {
			c := newRateCounter(rate, r.Max)
			if r.exchange != nil {
				c.share(r.exchange, i)
			}
			r.counters = append(r.counters, c)
		}
		if r.exchange != nil {
			r.exchange.counters = r.counters
		}
	})
	return smtpserver.Agent{Name: "rates",
		Mail: func(_ context.Context, s *smtpserver.Session, from string, _ *smtp.MailOptions) error {
			for _, c := range r.counters {
				if key, ok := c.key(s, from); ok && !c.take(key, 1, 0, time.Now()) {
					return fmt.Errorf("%w: %s", errMessageRate, key)
				}
			}
			return nil
		},
		Rcpt: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.RcptOptions) error {
			for _, c := range r.counters {
				if key, ok := c.key(s, s.Message().From); ok && !c.take(key, 0, 1, time.Now()) {
					return fmt.Errorf("%w: %s", errRecipientRate, key)
				}
			}
			return nil
		}}
}

// rateCounter counts for one Rate.
type rateCounter struct {
	rate   Rate
	exempt map[string]bool

	exchange *rateExchange // nil: this node counts for itself
	name     string        // of the counts, among all nodes

	mu      sync.Mutex // guards the fields below
	windows bounded[string, rateWindow]
	dirty   map[string]bool // keys that the exchange must tell about
}

// rateWindow counts in two periods. The share of the earlier one in the last
// Per is estimated, as if its messages had been sent at equal intervals.
type rateWindow struct {
	began           time.Time // the start of the current period
	before, present [2]int    // messages, recipients
	shared          *sharedWindow
}

func newRateCounter(rate Rate, most int) *rateCounter {
	if rate.Per <= 0 {
		rate.Per = time.Hour
	}
	if most <= 0 {
		most = 100_000
	}
	c := &rateCounter{rate: rate, exempt: make(map[string]bool)}
	for _, id := range rate.ExemptIdentities {
		c.exempt[addr.FoldLocal(id)] = true
	}
	c.windows = bounded[string, rateWindow]{max: most, used: func(w *rateWindow) int64 { return w.began.Unix() }}
	return c
}

// key returns the key by which the session is counted. The result is false if
// it is not counted.
func (c *rateCounter) key(s *smtpserver.Session, from string) (string, bool) {
	ip, hasIP := clientIP(s)
	id := addr.FoldLocal(s.Identity())
	if c.exempt[id] || hasIP && c.rate.Exempt.Contains(ip) {
		return "", false
	}
	switch c.rate.By {
	case ByIdentity:
		return id, id != ""
	case ByAddress:
		ip, ok := countedIP(s)
		return addressOf(ip).String(), ok
	case ByNetwork:
		ip, ok := countedIP(s)
		return networkOf(ip).String(), ok
	case BySender:
		return fold(from), from != ""
	case BySenderDomain:
		return addr.DomainOf(from), from != ""
	}
	return "", false
}

// take counts messages and recipients, and returns true, unless a limit would
// be exceeded.
func (c *rateCounter) take(key string, messages, recipients int, now time.Time) bool {
	if c.exchange != nil {
		defer c.exchange.schedule()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.window(key, now)
	for i, limit := range [2]int{c.rate.Messages, c.rate.Recipients} {
		n := [2]int{messages, recipients}[i]
		if n > 0 && limit > 0 && c.exceeds(w, i, n, limit, now) {
			return false
		}
	}
	for i, n := range [2]int{messages, recipients} {
		w.present[i] += n
		if w.shared != nil {
			w.shared.pending[i] += n
		}
	}
	return true
}

// window returns the counts of a key. The caller has the lock.
func (c *rateCounter) window(key string, now time.Time) *rateWindow {
	w, made := c.windows.get(key)
	if made {
		w.began = now
	}
	if c.exchange != nil {
		c.dirty[key] = true
		if made {
			w.shared = new(sharedWindow)
		}
	}
	w.advance(c.rate.Per, now)
	return w
}

// advance begins a new period if the present one is over.
func (w *rateWindow) advance(per time.Duration, now time.Time) {
	if age := now.Sub(w.began); age >= 2*per {
		*w = rateWindow{began: now, shared: w.shared}
	} else if age >= per {
		*w = rateWindow{began: w.began.Add(per), before: w.present, shared: w.shared}
	}
}

// exceeds reports whether n more would exceed a limit. i is 0 for messages and 1 for
// recipients. The caller has the lock.
func (c *rateCounter) exceeds(w *rateWindow, i, n, limit int, now time.Time) bool {
	if c.exchange != nil {
		part, alone := c.exchange.limit(limit)
		if !alone {
			return w.shared.count(i, c.rate.Per, now)+float64(n) > float64(limit)
		}
		limit = part
	}
	return w.count(i, c.rate.Per, now)+float64(n) > float64(limit)
}

// count estimates what this node has counted in the last period.
func (w *rateWindow) count(i int, per time.Duration, now time.Time) float64 {
	left := max(1-float64(now.Sub(w.began))/float64(per), 0) // the part of the earlier period that still counts
	return left*float64(w.before[i]) + float64(w.present[i])
}
