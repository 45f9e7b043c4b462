package routing

import (
	"context"
	"time"

	"github.com/miekg/dns"
)

// A Resolver looks up DNS records. DNSResolver queries name servers. Other
// implementations can wrap or replace it. A Resolver must be safe for
// concurrent use.
type Resolver interface {
	// Lookup returns the records of one type (dns.TypeMX, dns.TypeA, ...) of a
	// name. The name is in A-label form, with or without the final dot. Lookup
	// follows aliases (CNAME). If there are no records, the error is a
	// *DNSError.
	Lookup(ctx context.Context, name string, qtype uint16) (*Answer, error)
}

// An Answer is the result of a DNS lookup. It is shared and must not be
// changed.
type Answer struct {
	// Name is the owner of the records: the name of the query or, if that is
	// an alias, the end of its CNAME chain. It has no final dot.
	Name string
	// Records are the records of the requested type, at least one.
	Records []dns.RR
	// Secure reports that DNSSEC authenticates the whole answer, and that the
	// Resolver can rely on this (see DNSResolver.TrustAD).
	Secure bool
	// Expires is when the answer is no longer valid.
	Expires time.Time
}

// ResolverFunc is a function that implements Resolver.
type ResolverFunc func(ctx context.Context, name string, qtype uint16) (*Answer, error)

// Lookup calls f.
func (f ResolverFunc) Lookup(ctx context.Context, name string, qtype uint16) (*Answer, error) {
	return f(ctx, name, qtype)
}
