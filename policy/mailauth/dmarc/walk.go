package dmarc

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
)

// Resolver is the part of *net.Resolver that DMARC asks. Where nothing exists
// the error is a *net.DNSError with IsNotFound; every other error is taken as
// a temporary one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A tree finds records and organizational domains for one message. It asks
// for each name once.
type tree struct {
	ctx      context.Context
	resolver Resolver
	psl      bool
	records  map[string]*Record // nil where a domain has none
}

// record is the one published at a domain; nil where there is none, or
// several (RFC 9989, 4.10).
func (t *tree) record(domain string) (*Record, error) {
	if r, known := t.records[domain]; known {
		return r, nil
	}
	txts, err := lookup.TXT(t.ctx, t.resolver, "_dmarc."+domain)
	if err != nil {
		return nil, fmt.Errorf("dmarc: record of %s: %w", domain, err)
	}
	var found *Record
	for _, txt := range txts {
		if r, err := ParseRecord(txt); err == nil {
			if found != nil {
				found = nil
				break
			}
			found = r
		}
	}
	t.records[domain] = found
	return found, nil
}

// maxQueries of one walk (RFC 9989, 4.10).
const maxQueries = 8

// steps are the names that a walk asks for: the domain itself, and those
// above it that have at most seven labels.
func steps(domain string) []string {
	names := []string{domain}
	for {
		_, parent, found := strings.Cut(domain, ".")
		if !found {
			return names
		}
		if strings.Count(parent, ".") < maxQueries-1 {
			names = append(names, parent)
		}
		domain = parent
	}
}

// A policy is where a walk has led.
type policy struct {
	org    string  // the organizational domain
	domain string  // where the record is that applies to the starting point
	record *Record // nil for none
}

// policy is find, content with the domain's own record where it has one: then
// org is empty.
func (t *tree) policy(domain string) (policy, error) {
	r, err := t.record(domain)
	if err != nil {
		return policy{}, err
	}
	if r != nil {
		return policy{domain: domain, record: r}, nil
	}
	return t.find(domain)
}

// find walks up from a domain: to its policy and its organizational domain.
func (t *tree) find(domain string) (policy, error) {
	if t.psl {
		return t.findByList(domain)
	}
	p := policy{org: domain}
	var psd string // the public suffix above, where one says that it is one
	for i, name := range steps(domain) {
		r, err := t.record(name)
		if err != nil {
			return policy{}, err
		}
		if r == nil {
			continue
		}
		if i > 0 && r.PSD == 'y' {
			psd = name
			p.org = below(name, domain)
			break
		}
		p.org = name
		if r.PSD != 'u' {
			break
		}
	}
	// RFC 9989, 4.10.1: the domain's own record, its organization's, the
	// public suffix's.
	for _, name := range []string{domain, p.org, psd} {
		if r := t.records[name]; r != nil {
			p.domain, p.record = name, r
			break
		}
	}
	return p, nil
}

// below is the name one label below parent on the way to domain.
func below(parent, domain string) string {
	rest := strings.TrimSuffix(domain, "."+parent)
	return rest[strings.LastIndexByte(rest, '.')+1:] + "." + parent
}

// findByList is RFC 7489, 3.2 and 6.6.3.
func (t *tree) findByList(domain string) (policy, error) {
	p := policy{org: domain}
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		p.org = org
	}
	for _, name := range []string{domain, p.org} {
		r, err := t.record(name)
		if err != nil {
			return policy{}, err
		}
		if r != nil {
			p.domain, p.record = name, r
			break
		}
	}
	return p, nil
}

// exists says whether there is a domain; see the package's comment.
func (t *tree) exists(domain string) (bool, error) {
	name := lookup.FQDN(domain)
	if r, knows := t.resolver.(interface {
		NameExists(ctx context.Context, name string) (bool, error)
	}); knows {
		return r.NameExists(t.ctx, name)
	}
	addrs, err := t.resolver.LookupNetIP(t.ctx, "ip", name)
	if len(addrs) > 0 {
		return true, nil
	}
	if err != nil && !lookup.IsNotFound(err) {
		return false, fmt.Errorf("dmarc: does %s exist: %w", domain, err)
	}
	mxs, err := t.resolver.LookupMX(t.ctx, name)
	if len(mxs) > 0 {
		return true, nil
	}
	if err != nil && !lookup.IsNotFound(err) {
		return false, fmt.Errorf("dmarc: does %s exist: %w", domain, err)
	}
	txts, err := lookup.TXT(t.ctx, t.resolver, domain)
	if err != nil {
		return false, fmt.Errorf("dmarc: does %s exist: %w", domain, err)
	}
	return len(txts) > 0, nil
}
