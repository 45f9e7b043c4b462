package mtasts

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

const (
	// retryAfter is how long a policy that could not be fetched is not asked
	// for again (RFC 8461, 3.3).
	retryAfter = 5 * time.Minute
	// refreshAfter is the age at which Refresh fetches a policy again.
	refreshAfter = 24 * time.Hour
	// maxDomains and maxText, the octets of all policies, bound what is kept in
	// memory.
	maxDomains = 10_000
	maxText    = 16 << 20
)

// A Cache finds policies and keeps them for their max_age, also over restarts
// when it has a Dir. It is safe for concurrent use. The fields must not change
// once it is in use.
type Cache struct {
	// LookupTXT returns the TXT records of a name, each joined to one string;
	// none and no error when the name or the type does not exist.
	LookupTXT func(ctx context.Context, name string) ([]string, error)
	// Client fetches policies. Redirects are never followed. Default: one
	// with a timeout of 1 minute and no proxy.
	Client *http.Client
	// Dir keeps the policies over restarts, one small file a domain; empty
	// keeps them in memory only. It is made when it is not there.
	Dir string

	flight  singleflight.Group // one fetch a domain at a time
	mu      sync.Mutex         // guards entries and text
	entries map[string]*entry
	text    int // octets of the policies in entries
}

// entry is what is known of one domain. It does not change once it is stored.
type entry struct {
	policy  *Policy // nil when none was had yet
	id      string  // of the TXT record that policy was fetched for
	fetched time.Time

	failed   error // why the last fetch brought nothing; nil when it did
	failedID string
	tried    time.Time // when that was
}

// size is what the entry counts towards maxText.
func (e *entry) size() int {
	if e == nil || e.policy == nil {
		return 0
	}
	return len(e.policy.Text)
}

// valid says whether the policy's time has not run out.
func (e *entry) valid(now time.Time) bool {
	return e != nil && e.policy != nil && now.Sub(e.fetched) < e.policy.MaxAge
}

// Policy is the policy of domain (in A-label form) that is in force now; nil
// when there is none. It looks for a new one in the DNS, and fetches that.
//
// An error says that the latest policy could not be had; the one that was
// valid before goes on until its max_age is over, and comes with the error
// (RFC 8461, 5.1). A domain that withdraws its policy says so by mode none.
func (c *Cache) Policy(ctx context.Context, domain string) (*Policy, error) {
	domain, err := addr.HostName(domain)
	if err != nil {
		return nil, nil // an address literal, for example
	}
	e := c.entry(domain)
	now := time.Now()
	txts, err := c.LookupTXT(ctx, "_mta-sts."+domain)
	id := parseRecord(txts)
	switch {
	case id == "" || e.valid(now) && e.id == id:
		// No new policy is announced, so the known one is in force.
		return inForce(e, now), err
	case e != nil && e.failedID == id && now.Sub(e.tried) < retryAfter:
		return inForce(e, now), e.failed
	}
	e, err = c.update(ctx, domain, id)
	return inForce(e, now), err
}

// inForce is the entry's policy as long as it is valid and asks for anything.
func inForce(e *entry, now time.Time) *Policy {
	if !e.valid(now) || e.policy.Mode == None {
		return nil
	}
	return e.policy
}

// update fetches a domain's policy and stores what came of it. Others may wait
// for the same fetch, so it goes on when ctx ends, for as long as it may take.
func (c *Cache) update(ctx context.Context, domain, id string) (*entry, error) {
	fetched := c.flight.DoChan(domain, func() (any, error) {
		p, err := c.fetch(context.WithoutCancel(ctx), domain)
		now := time.Now()
		e := &entry{policy: p, id: id, fetched: now}
		if err != nil {
			if old := c.entry(domain); old != nil {
				*e = *old
			} else {
				*e = entry{}
			}
			e.failed, e.failedID, e.tried = err, id, now
		}
		c.keep(domain, e)
		if err == nil {
			err = c.save(domain, e)
		}
		return e, err
	})
	select {
	case r := <-fetched:
		return r.Val.(*entry), r.Err
	case <-ctx.Done():
		return c.entry(domain), ctx.Err()
	}
}

// entry is what is known of a domain, from memory or from Dir; nil when
// nothing is.
func (c *Cache) entry(domain string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[domain]; ok || c.Dir == "" {
		return e
	}
	e := c.load(domain)
	if e != nil {
		c.keepLocked(domain, e)
	}
	return e
}

func (c *Cache) keep(domain string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keepLocked(domain, e)
}

// keepLocked stores an entry. When there are too many, one whose time is over
// goes, or any: what is in Dir is found again. mu is held.
func (c *Cache) keepLocked(domain string, e *entry) {
	if c.entries == nil {
		c.entries = make(map[string]*entry)
	}
	c.dropLocked(domain)
	now := time.Now()
	for len(c.entries) > 0 && (len(c.entries) >= maxDomains || c.text+e.size() > maxText) {
		victim, looked := "", 0
		for d, old := range c.entries {
			if victim = d; !old.valid(now) || looked == 100 {
				break
			}
			looked++
		}
		c.dropLocked(victim)
	}
	c.entries[domain] = e
	c.text += e.size()
}

// dropLocked takes an entry out of memory. mu is held.
func (c *Cache) dropLocked(domain string) {
	c.text -= c.entries[domain].size()
	delete(c.entries, domain)
}

// Refresh fetches all policies again that are older than a day, so that an
// attacker who blocks the network for a short time cannot outlast them
// (RFC 8461, 3.3 and 10.2). Policies that cannot be fetched stay. The error
// joins what went wrong.
func (c *Cache) Refresh(ctx context.Context) error {
	var errs []error
	for _, domain := range c.domains() {
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		e := c.entry(domain)
		now := time.Now()
		switch {
		case e != nil && e.policy != nil && !e.valid(now):
			c.forget(domain)
		case e.valid(now) && now.Sub(e.fetched) >= refreshAfter:
			if _, err := c.update(ctx, domain, e.id); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Run refreshes once an hour what is older than a day, until ctx ends.
func (c *Cache) Run(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.Refresh(ctx) // what fails is tried again, and shows at the next delivery
		}
	}
}

// domains are all that are known, in memory and in Dir.
func (c *Cache) domains() []string {
	known := make(map[string]bool)
	c.mu.Lock()
	for d := range c.entries {
		known[d] = true
	}
	c.mu.Unlock()
	for _, d := range c.saved() {
		known[d] = true
	}
	all := make([]string, 0, len(known))
	for d := range known {
		all = append(all, d)
	}
	return all
}

func (c *Cache) forget(domain string) {
	c.mu.Lock()
	c.dropLocked(domain)
	c.mu.Unlock()
	c.remove(domain)
}
