package routing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// A DNSResolver asks recursive name servers, and remembers what they said.
// The zero value asks the servers of /etc/resolv.conf. Its fields must not
// change once it is used; it is safe for concurrent use.
type DNSResolver struct {
	// Servers are "host", "host:port" or "[v6]:port", in order of preference:
	// the next one is asked when one fails. Port 53 is the default. Empty
	// means the servers of /etc/resolv.conf as it stands at the first use.
	Servers []string
	// TrustAD believes the servers when they say that an answer was
	// authenticated (the AD bit). Set it only when all of Servers validate
	// DNSSEC and nobody can come between: best on this very host. Without it
	// no answer is Secure, and DANE is never used.
	TrustAD bool
	// Timeout is for one query to one server, over UDP or TCP. Default 5 s
	// (resolv.conf(5)).
	Timeout time.Duration
	// Attempts is how often all servers are tried. Default 2 (resolv.conf(5)).
	Attempts int
	// MaxEntries bounds the cache, in short answers: one that takes more than
	// 256 bytes of memory counts for as many. Default 10,000; negative: no cache.
	MaxEntries int
	// Dial connects to a server; network is "udp" or "tcp". Default a
	// net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	cache   dnsCache
	flights flights
	best    atomic.Int32 // index of the server that answered last
	mu      sync.Mutex   // guards list
	list    []string     // the servers, once they are known
}

const (
	defaultDNSTimeout  = 5 * time.Second
	defaultDNSAttempts = 2
	defaultDNSEntries  = 10000
)

// Lookup implements Resolver. Concurrent questions for the same thing become
// one query, which goes on for as long as anybody waits for it.
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
	servers, err := r.servers()
	if err != nil {
		return nil, 0, &DNSError{Problem: DNSUnavailable, Name: key.name, Type: key.qtype, Err: err}
	}
	attempts := r.Attempts
	if attempts <= 0 {
		attempts = defaultDNSAttempts
	}
	var last error
	for i := range attempts * len(servers) {
		at := (int(r.best.Load()) + i) % len(servers)
		reply, err := r.ask(ctx, servers[at], key)
		if err == nil {
			a, ttl, err := parseAnswer(reply, key, r.TrustAD)
			if err == nil || err.definite() {
				r.best.Store(int32(at))
				return a, ttl, nilOr(err)
			}
			last = err
		} else if last == nil || ctx.Err() == nil {
			last = &DNSError{Problem: DNSUnavailable, Name: key.name, Type: key.qtype,
				Detail: servers[at], Err: err}
		}
		if ctx.Err() != nil {
			break
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

func (r *DNSResolver) servers() ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.list != nil {
		return r.list, nil
	}
	list := r.Servers
	if len(list) == 0 {
		conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil {
			return nil, fmt.Errorf("no name servers: %w", err)
		}
		list = conf.Servers
	}
	if len(list) == 0 {
		return nil, errors.New("no name servers in /etc/resolv.conf")
	}
	for _, addr := range list {
		r.list = append(r.list, withPort(addr, "53"))
	}
	return r.list, nil
}

// withPort adds the port to an address that has none: "host", "v6", "[v6]".
func withPort(addr, port string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), port)
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
