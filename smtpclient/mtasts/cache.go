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
	// retryAfter is the minimum time between two attempts to fetch a policy
	// after a failure (RFC 8461, 3.3).
	retryAfter = 5 * time.Minute
	// refreshAfter is the age at which Refresh fetches a policy again.
	refreshAfter = 24 * time.Hour
	// maxDomains is the maximum number of policies in memory, and maxText the
	// maximum total size of their texts in octets.
	maxDomains = 10_000
	maxText    = 16 << 20
)

// A Cache fetches policies and keeps them for their max_age. If Dir is set,
// they survive a restart. A Cache is safe for concurrent use. Do not change the
// fields after the first use. The Cache keeps at most 10,000 policies, with 16
// MiB of text in total, in memory.
type Cache struct {
	// Resolver looks up the records that announce policies. Default: a zero
	// routing.NetResolver, which uses net.DefaultResolver. A gateway.Gateway
	// does not set it: a relay should use the Resolver of its Router here too.
	Resolver Resolver
	// Client fetches policies. It never follows redirects. The default has a
	// timeout of 1 minute (RFC 8461, 3.3) and uses no proxy.
	Client *http.Client
	// Dir is a directory for the policies, with one file for each domain. It
	// is created if it does not exist. If Dir is empty, policies are kept only
	// in memory.
	Dir string

	flight  singleflight.Group // one fetch a domain at a time
	mu      sync.Mutex         // guards entries and text
	entries map[string]*entry
	text    int // octets of the policies in entries
}

// entry is what is known about a domain. It does not change after it is
// stored.
type entry struct {
	policy  *Policy // nil until one was fetched
	id      string  // the id in the TXT record when policy was fetched
	fetched time.Time

	failed   error // the error of the last fetch; nil if it succeeded
	failedID string
	tried    time.Time // the time of the last fetch that failed
}

// size returns the part of maxText that the entry uses.
func (e *entry) size() int {
	if e == nil || e.policy == nil {
		return 0
	}
	return len(e.policy.Text)
}

// valid reports whether the entry has a policy that has not expired.
func (e *entry) valid(now time.Time) bool {
	return e != nil && e.policy != nil && now.Sub(e.fetched) < e.policy.MaxAge
}

// Policy returns the current policy of domain (in A-label form), or nil if
// there is none. It checks the DNS for a new policy. If there is one, it
// fetches the policy.
//
// An error means that the latest policy could not be looked up, fetched or
// saved in Dir. If there is a policy that has not reached its max_age, Policy
// returns it together with the error (RFC 8461, 5.1). A policy with the mode
// none removes the policy of a domain.
func (c *Cache) Policy(ctx context.Context, domain string) (*Policy, error) {
	domain, err := addr.HostName(domain)
	if err != nil {
		return nil, nil // an address literal, for example
	}
	e := c.entry(domain)
	now := time.Now()
	txts, err := lookupTXT(ctx, c.Resolver, "_mta-sts."+domain)
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

// inForce returns the entry's policy if it is valid and its mode is not none.
func inForce(e *entry, now time.Time) *Policy {
	if !e.valid(now) || e.policy.Mode == None {
		return nil
	}
	return e.policy
}

// update fetches and stores a domain's policy. Several callers can wait for
// the same fetch, so the fetch continues after ctx ends.
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

// entry returns what is known about a domain, from memory or from Dir, or nil.
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

// keepLocked stores an entry. If memory is full, it removes another entry,
// preferably an expired one; an entry with a file in Dir can be loaded again.
// The caller holds mu.
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

// dropLocked removes an entry from memory. The caller holds mu.
func (c *Cache) dropLocked(domain string) {
	c.text -= c.entries[domain].size()
	delete(c.entries, domain)
}

// Refresh fetches all policies that are older than a day. An attacker who
// blocks the network for a short time then cannot make them expire (RFC 8461,
// 3.3 and 10.2). If a fetch fails, the old policy stays. Refresh returns the
// errors joined.
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

// Run calls Refresh once an hour until ctx ends.
func (c *Cache) Run(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.Refresh(ctx) // a failed fetch is retried, and reported at the next delivery
		}
	}
}

// domains returns all known domains, in memory and in Dir.
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
