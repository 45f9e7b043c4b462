package routing

import (
	"context"
	"errors"

	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// LookupTXT returns the TXT records of a name, with the strings of each record
// joined. If there are none, it returns no records and no error. It can be used
// with tlsrpt.ParseRecord. A nil Resolver is an error.
func LookupTXT(ctx context.Context, r Resolver, name string) ([]string, error) {
	if settings.IsNil(r) {
		return nil, errors.New("routing: LookupTXT: the Resolver is nil")
	}
	a, err := lookup(ctx, r, name, TypeTXT)
	var e *DNSError
	switch {
	case errors.As(err, &e) && !e.Temporary():
		return nil, nil
	case err != nil:
		return nil, err
	}
	return a.TXT, nil
}
