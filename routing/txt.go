package routing

import (
	"context"
	"errors"
	"strings"

	"github.com/miekg/dns"
)

// LookupTXT returns the TXT records of a name, with the strings of each record
// joined. If there are none, it returns no records and no error. It can be used
// for mtasts.Cache.LookupTXT.
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
