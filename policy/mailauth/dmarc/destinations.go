package dmarc

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
)

// Destinations are the mailto URIs to which aggregate reports about a policy
// domain may be sent: those of its own organization, and those elsewhere that
// have agreed to it in DNS (RFC 9990, 4). A destination whose consent cannot
// be looked up is left out and spoken of in the error.
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

// consent asks whether a host takes reports about domain, and under which
// URI; "" for none.
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
		return "", nil // to yet another host: neither one
	}
	return "", nil
}

// mailHost is the canonical domain of a mailto URI; "" for other URIs.
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
