package routing

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/internal/resolver/wire"
)

// A DNSResolver queries recursive name servers and caches their answers. The
// zero value uses the servers of /etc/resolv.conf. Do not change the fields
// after the first use. A DNSResolver is safe for concurrent use.
//
// Names are always complete: the resolver ignores the domain, search and ndots
// settings of /etc/resolv.conf. If a server returns a referral to other
// servers (no records, and the server is neither authoritative nor recursive),
// the resolver tries the next server.
type DNSResolver struct {
	// Servers are name servers, "host", "host:port" or "[v6]:port", in order
	// of preference. The default port is 53. If a server fails, the next one
	// is tried. A server that did not answer is tried last until it answers
	// again.
	//
	// If Servers is empty, the resolver uses the nameserver lines of
	// /etc/resolv.conf (at most three, resolv.conf(5)). If there are none or
	// the file does not exist, it uses 127.0.0.1 and ::1. It reads the file
	// again when it changes. It uses the options timeout, attempts and rotate,
	// and ignores all others.
	Servers []string
	// TrustAD makes the resolver trust the AD bit of the servers. With this
	// bit, a server reports that it has validated an answer by DNSSEC. Set
	// TrustAD only if all Servers validate DNSSEC and the network to them is
	// secure: use a server on this host. Without TrustAD no answer is Secure,
	// and DANE is never used.
	TrustAD bool
	// Timeout is the time limit for one query to one server, over UDP or TCP.
	// After half of this time, the query is repeated without EDNS, because
	// some servers and firewalls drop queries with EDNS. The default is the
	// option timeout of /etc/resolv.conf if that file is used, otherwise 5 s
	// (resolv.conf(5)).
	Timeout time.Duration
	// Attempts is the number of times that the list of servers is tried. The
	// default is the option attempts of /etc/resolv.conf if that file is used,
	// otherwise 2 (resolv.conf(5)).
	Attempts int
	// MaxEntries is the maximum number of answers in the cache. A long answer
	// counts as several: one, and one more for each 256 bytes of memory that it
	// uses. The default is 10,000. A negative value disables the cache.
	MaxEntries int
	// Dial connects to a server; network is "udp" or "tcp". The default is a
	// net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	cache   dnsCache
	flights flights
	queries atomic.Uint32 // number of queries, for the option rotate
	mu      sync.Mutex    // guards fixed and conf
	fixed   *dnsConfig    // from Servers
	conf    confFile      // used if Servers is empty
}

const (
	defaultDNSTimeout  = 5 * time.Second
	defaultDNSAttempts = 2
	defaultDNSEntries  = 10000
)

// Lookup implements Resolver. Concurrent calls for the same name and type
// share one query. The query is canceled when no caller waits for it.
func (r *DNSResolver) Lookup(ctx context.Context, name string, t RecordType) (*Answer, error) {
	key := dnsKey{addr.Lower(strings.TrimSuffix(name, ".")), t}
	switch {
	case !wire.Known(t):
		return nil, lookupError(DNSFailure, name, t, "a DNSResolver does not look up this type")
	case key.name == "localhost" || strings.HasSuffix(key.name, ".localhost"):
		return localhost(key)
	case !wire.Valid(key.name):
		return nil, lookupError(BadName, name, t, "")
	}
	if a, err, ok := r.cache.get(key, time.Now()); ok {
		resolver.SetSource(ctx, "cache")
		return a, err
	}
	resolver.SetSource(ctx, "servers")
	return r.flights.do(ctx, key, func(ctx context.Context) (*Answer, error) {
		a, ttl, err := r.query(ctx, key)
		if ctx.Err() == nil { // a canceled query is no evidence
			now := time.Now()
			if a != nil {
				a.Expires = now.Add(ttl)
			}
			r.cache.put(key, a, err, now.Add(ttl), now, r.maxEntries())
		}
		return a, err
	})
}

func (r *DNSResolver) maxEntries() int {
	if r.MaxEntries == 0 {
		return defaultDNSEntries
	}
	return r.MaxEntries
}

// query asks one server after the other until one answers.
func (r *DNSResolver) query(ctx context.Context, key dnsKey) (*Answer, time.Duration, error) {
	config, err := r.config()
	if err != nil {
		return nil, 0, &LookupError{Problem: DNSUnavailable, Name: key.name, Type: key.qtype, Err: err}
	}
	first := 0
	if config.rotate {
		first = int(r.queries.Add(1) % uint32(len(config.servers)))
	}
	order := config.order(first)
	if !order[0].down.Load() {
		r.probe(ctx, config, key)
	}
	var last error
	for attempt := range config.attempts {
		for _, s := range order {
			reply, err := r.ask(ctx, config, s, key, attempt == 0)
			if ctx.Err() == nil {
				s.down.Store(err != nil)
			}
			if err == nil {
				a, ttl, err := wire.Answer(reply, key.name, key.qtype, r.TrustAD)
				if err == nil || definite(err) {
					return a, ttl, nilOr(err)
				}
				last = err
			} else if last == nil || ctx.Err() == nil {
				last = &LookupError{Problem: DNSUnavailable, Name: key.name, Type: key.qtype, Detail: s.addr, Err: err}
			}
			if ctx.Err() != nil {
				return nil, wire.FailureTTL, last
			}
		}
	}
	return nil, wire.FailureTTL, last
}

// nilOr prevents a nil *LookupError from becoming a non-nil error.
func nilOr(e *LookupError) error {
	if e == nil {
		return nil
	}
	return e
}

// definite reports whether other servers would give the same answer.
func definite(e *LookupError) bool {
	return e.Problem != DNSUnavailable && e.Problem != DNSFailure
}

// config returns the servers and how to query them.
func (r *DNSResolver) config() (*dnsConfig, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.fixed
	if len(r.Servers) == 0 {
		r.conf.path = cmp.Or(r.conf.path, "/etc/resolv.conf")
		var err error
		if c, err = r.conf.load(time.Now()); err != nil {
			return nil, err
		}
	} else if c == nil {
		c = &dnsConfig{timeout: defaultDNSTimeout, attempts: defaultDNSAttempts}
		for _, addr := range r.Servers {
			c.servers = append(c.servers, &nameServer{addr: withPort(addr, "53")})
		}
		r.fixed = c
	}
	own := *c
	if r.Timeout > 0 {
		own.timeout = r.Timeout
	}
	if r.Attempts > 0 {
		own.attempts = r.Attempts
	}
	return &own, nil
}

// Authenticated reports whether answers can be Secure: whether TrustAD is set.
func (r *DNSResolver) Authenticated() bool { return r.TrustAD }

// localhost answers for names that always mean this host (RFC 6761, 6.3).
func localhost(key dnsKey) (*Answer, error) {
	a := &Answer{Name: key.name, Expires: time.Now().Add(wire.MaxTTL)}
	switch key.qtype {
	case TypeA:
		a.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	case TypeAAAA:
		a.Addrs = []netip.Addr{netip.IPv6Loopback()}
	default:
		return nil, lookupError(NoRecord, key.name, key.qtype, "")
	}
	return a, nil
}
