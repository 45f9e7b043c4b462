package routing

import (
	"context"
	"errors"
	"strings"

	"github.com/miekg/dns"
)

// LookupTXT returns the TXT records of a name, each joined to one string; none
// and no error when there are none. With a Resolver bound to it, it is the
// LookupTXT of an mtasts.Cache.
func LookupTXT(ctx context.Context, r Resolver, name string) ([]string, error) {
	a, err := r.Lookup(ctx, name, dns.TypeTXT)
	var e *DNSError
	if errors.As(err, &e) && !e.Temporary() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, rr := range a.Records {
		if t, is := rr.(*dns.TXT); is {
			texts = append(texts, strings.Join(t.Txt, ""))
		}
	}
	return texts, nil
}
