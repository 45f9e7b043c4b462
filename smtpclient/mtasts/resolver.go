package mtasts

import (
	"context"
	"errors"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// A Resolver looks up records in the DNS. It is the same type as
// routing.Resolver. A routing.DNSResolver queries name servers and caches their
// answers; a routing.NetResolver uses a net.Resolver.
type Resolver = resolver.Resolver

// lookupTXT returns the TXT records of a name. If the name or the record does not
// exist, it returns none. A CNAME loop is no record either: the domain must change
// it before it can have a policy.
func lookupTXT(ctx context.Context, r Resolver, name string) ([]string, error) {
	texts, err := resolver.TXTs(ctx, r, name)
	var e *resolver.Error
	if resolver.IsNotFound(err) || errors.As(err, &e) && e.Problem == resolver.AliasLoop {
		return nil, nil
	}
	return texts, err
}
