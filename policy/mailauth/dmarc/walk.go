package dmarc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
)

// A Resolver looks up records in the DNS. It is the same type as
// policy.Resolver and routing.Resolver. A routing.DNSResolver queries name
// servers and caches their answers; a policy.NetResolver uses a net.Resolver.
// To write another one, see routing.Resolver.
type Resolver = resolver.Resolver

// A tree finds records and organizational domains for one message. It sends one
// query for each name.
type tree struct {
	ctx      context.Context
	resolver Resolver
	psl      bool
	records  map[string]*Record // nil if a domain has no record
}

// record returns the record of a domain. It returns nil if the domain has no
// record or several (RFC 9989, 4.10).
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

// maxQueries is the maximum number of queries of one walk (RFC 9989, 4.10).
const maxQueries = 8

// steps returns the names that a walk queries: the domain itself and its parent
// domains of at most seven labels.
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

// A policy is the result of a walk.
type policy struct {
	org    string  // the organizational domain
	domain string  // the domain whose record applies
	record *Record // nil if there is none
}

// policy returns the policy of a domain. If the domain has a record, policy stops
// there, and org is empty. Otherwise it calls find.
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

// find finds the policy and the organizational domain of a domain by the tree
// walk.
func (t *tree) find(domain string) (policy, error) {
	if t.psl {
		return t.findByPublicSuffixList(domain)
	}
	p := policy{org: domain}
	var psd string // the parent domain whose record has psd=y
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

// below returns the ancestor of domain that is one label below parent.
func below(parent, domain string) string {
	rest := strings.TrimSuffix(domain, "."+parent)
	return rest[strings.LastIndexByte(rest, '.')+1:] + "." + parent
}

// findByPublicSuffixList finds the policy by the public suffix list (RFC 7489, 3.2 and 6.6.3).
func (t *tree) findByPublicSuffixList(domain string) (policy, error) {
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

// exists reports whether a domain exists. If the resolver cannot distinguish a
// name without TXT records from one that does not exist, it looks up other
// types; see the package comment.
func (t *tree) exists(domain string) (bool, error) {
	_, err := resolver.TXTs(t.ctx, t.resolver, domain)
	var e *resolver.Error
	switch {
	case err == nil || errors.As(err, &e) && e.Problem == resolver.NoRecord:
		return true, nil
	case e != nil && (e.Problem == resolver.NoSuchName || e.Problem == resolver.BadName):
		return false, nil
	}
	if resolver.IsNotFound(err) {
		_, err = resolver.Addrs(t.ctx, t.resolver, domain, resolver.TypeA, resolver.TypeAAAA)
	}
	if resolver.IsNotFound(err) {
		_, err = resolver.MXs(t.ctx, t.resolver, domain)
	}
	if err != nil && !resolver.IsNotFound(err) {
		return false, fmt.Errorf("dmarc: cannot determine whether %s exists: %w", domain, err)
	}
	return err == nil, nil
}
