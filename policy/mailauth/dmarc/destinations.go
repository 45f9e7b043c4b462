package dmarc

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
)

// Destinations returns the mailto URIs for aggregate reports about a policy
// domain with the record r: URIs in the same organization, and URIs in other
// organizations that agree to this in DNS (RFC 9990, 4). If DNS does not answer
// a query for a URI, Destinations leaves out that URI. It then returns the
// other URIs and an error.
func (c *Checker) Destinations(ctx context.Context, domain string, r *Record) (uris []string, err error) {
	t := c.tree(ctx)
	own, err := t.find(domain)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, uri := range r.Reports {
		host := mailHost(uri)
		if host == "" {
			continue
		}
		there, err := t.find(host)
		if err == nil && there.org == own.org {
			uris = append(uris, uri)
			continue
		}
		if err == nil {
			uri, err = t.consent(domain, host, uri)
		}
		if err != nil {
			errs = append(errs, err)
		} else if uri != "" {
			uris = append(uris, uri)
		}
	}
	slices.Sort(uris)
	return slices.Compact(uris), errors.Join(errs...)
}

// consent returns the URI at which a host accepts reports about domain, or "" if
// it does not accept them.
func (t *tree) consent(domain, host, uri string) (string, error) {
	txts, err := lookup.TXT(t.ctx, t.resolver, domain+"._report._dmarc."+host)
	if err != nil {
		return "", err
	}
	for _, txt := range txts {
		r, err := ParseRecord(txt)
		if err != nil {
			continue
		}
		if len(r.Reports) == 0 {
			return uri, nil
		}
		if mailHost(r.Reports[0]) == host {
			return r.Reports[0], nil
		}
		return "", nil // the URI has yet another host: RFC 9990, 4 does not allow it
	}
	return "", nil
}

// mailHost returns the canonical domain of a mailto URI, or "" for other URIs.
func mailHost(uri string) string {
	if len(uri) < 7 || !strings.EqualFold(uri[:7], "mailto:") {
		return ""
	}
	address, _, _ := strings.Cut(uri[7:], "?")
	_, domain := addr.Split(address)
	host, err := addr.HostName(domain)
	if err != nil {
		return ""
	}
	return host
}
