package routing

import (
	"context"
	"time"

	"github.com/miekg/dns"
)

// A Resolver answers DNS questions. DNSResolver is the one that asks servers;
// others can stand before it, or in its place. It must be safe for concurrent
// use.
type Resolver interface {
	// Lookup finds the records of one type (dns.TypeMX, dns.TypeA, ...) for a
	// name in the form of A-labels, with or without a dot at its end, and
	// follows aliases. When there are none the error is a *DNSError.
	Lookup(ctx context.Context, name string, qtype uint16) (*Answer, error)
}

// An Answer is the answer of the DNS to one question. It is shared and must not
// be changed.
type Answer struct {
	// Name is where the records are: the name that was asked about or, where
	// that is an alias, the end of its chain of CNAMEs. Without the last dot.
	Name string
	// Records are of the type that was asked for, at least one.
	Records []dns.RR
	// Secure says that the whole answer was authenticated by DNSSEC, as far
	// as the Resolver can be trusted about that.
	Secure bool
	// Expires is when the question should be asked again.
	Expires time.Time
}

// ResolverFunc makes a function a Resolver.
type ResolverFunc func(ctx context.Context, name string, qtype uint16) (*Answer, error)

// Lookup calls f.
func (f ResolverFunc) Lookup(ctx context.Context, name string, qtype uint16) (*Answer, error) {
	return f(ctx, name, qtype)
}
