package routing

import (
	"cmp"
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// A DNSResolver asks recursive name servers and caches their answers. The zero
// value asks the servers of /etc/resolv.conf. Its fields must not change once
// it is used. It is safe for concurrent use.
//
// Names are always complete: the resolver ignores the domain, search and ndots
// settings of /etc/resolv.conf. An answer is one only if the server knows it:
// a referral to other servers (no records, and the server is neither
// authoritative nor recursive) makes the resolver ask the next server.
type DNSResolver struct {
	// Servers are "host", "host:port" or "[v6]:port", in order of preference:
	// the next one is asked when one fails. A server that gave no answer is
	// asked last until it answers again. Port 53 is the default.
	//
	// Empty means the nameserver lines of /etc/resolv.conf (at most three,
	// resolv.conf(5)), or 127.0.0.1 and ::1 where there are none or no such
	// file. The file is read again when it changes. Its options timeout,
	// attempts and rotate are honored, all others are ignored.
	Servers []string
	// TrustAD believes the servers when they say that an answer was
	// authenticated (the AD bit). Set it only when all of Servers validate
	// DNSSEC and the network between cannot be tampered with: use a server on
	// this host. Without it no answer is Secure, and DANE is never used.
	TrustAD bool
	// Timeout is for one query to one server, over UDP or TCP. When half of
	// it has passed, the query is repeated without EDNS, for servers and
	// firewalls that drop it. Default: the option timeout of
	// /etc/resolv.conf if that is used, otherwise 5 s (resolv.conf(5)).
	Timeout time.Duration
	// Attempts is how often all servers are tried. Default: the option
	// attempts of /etc/resolv.conf if that is used, otherwise 2
	// (resolv.conf(5)).
	Attempts int
	// MaxEntries bounds the cache, in short answers: one that takes more than
	// 256 bytes of memory counts for as many. Default 10,000; negative: no cache.
	MaxEntries int
	// Dial connects to a server; network is "udp" or "tcp". Default a
	// net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	cache   dnsCache
	flights flights
	queries atomic.Uint32 // counts them, for the option rotate
	mu      sync.Mutex    // guards fixed and conf
	fixed   *dnsConfig    // made of Servers
	conf    confFile      // where there are none
}

const (
	defaultDNSTimeout  = 5 * time.Second
	defaultDNSAttempts = 2
	defaultDNSEntries  = 10000
)

// Lookup implements Resolver. Concurrent questions for the same thing become
// one query, which ends when none of them waits for it any longer.
func (r *DNSResolver) Lookup(ctx context.Context, name string, qtype uint16) (*Answer, error) {
	key := dnsKey{strings.ToLower(strings.TrimSuffix(name, ".")), qtype}
	if key.name == "localhost" || strings.HasSuffix(key.name, ".localhost") {
		return localhost(key)
	}
	if labels, ok := dns.IsDomainName(key.name); !ok || labels == 0 || len(key.name) > 253 {
		return nil, dnsError(BadName, name, qtype, "")
	}
	if a, err, ok := r.cache.get(key, time.Now()); ok {
		return a, err
	}
	return r.flights.do(ctx, key, func(ctx context.Context) (*Answer, error) {
		a, ttl, err := r.query(ctx, key)
		if ctx.Err() == nil { // what was broken off says nothing
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

// query asks one server after the other until one gives an answer.
func (r *DNSResolver) query(ctx context.Context, key dnsKey) (*Answer, time.Duration, error) {
	config, err := r.config()
	if err != nil {
		return nil, 0, &DNSError{Problem: DNSUnavailable, Name: key.name, Type: key.qtype, Err: err}
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
				a, ttl, err := parseAnswer(reply, key, r.TrustAD)
				if err == nil || err.definite() {
					return a, ttl, nilOr(err)
				}
				last = err
			} else if last == nil || ctx.Err() == nil {
				last = &DNSError{Problem: DNSUnavailable, Name: key.name, Type: key.qtype, Detail: s.addr, Err: err}
			}
			if ctx.Err() != nil {
				return nil, failureTTL, last
			}
		}
	}
	return nil, failureTTL, last
}

// nilOr keeps a nil *DNSError from becoming an error that is not nil.
func nilOr(e *DNSError) error {
	if e == nil {
		return nil
	}
	return e
}

// definite says whether there is no use in asking another server.
func (e *DNSError) definite() bool {
	return e.Problem != DNSUnavailable && e.Problem != DNSFailure
}

// config is the servers, and how to ask them.
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

// localhost answers for the names that never leave the host (RFC 6761, 6.3).
func localhost(key dnsKey) (*Answer, error) {
	hdr := dns.RR_Header{Name: key.name + ".", Rrtype: key.qtype, Class: dns.ClassINET}
	a := &Answer{Name: key.name, Expires: time.Now().Add(maxTTL)}
	switch key.qtype {
	case dns.TypeA:
		a.Records = []dns.RR{&dns.A{Hdr: hdr, A: net.IPv4(127, 0, 0, 1)}}
	case dns.TypeAAAA:
		a.Records = []dns.RR{&dns.AAAA{Hdr: hdr, AAAA: net.IPv6loopback}}
	default:
		return nil, dnsError(NoRecord, key.name, key.qtype, "")
	}
	return a, nil
}
