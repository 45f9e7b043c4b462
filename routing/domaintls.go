package routing

import (
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// domainTLS parses and checks DomainTLS.
func (b *builder) domainTLS(c *connector) {
	c.domainTLS, c.belowTLS = map[string]*smtpclient.TLSPolicy{}, map[string]*smtpclient.TLSPolicy{}
	for text, policy := range c.DomainTLS {
		d, below, err := parsePattern(text)
		b.check("DomainTLS", err)
		if err := validatePolicy(c, policy); err != nil {
			b.check(fmt.Sprintf("DomainTLS[%q]", text), err)
		}
		if below {
			c.belowTLS[d] = &policy
		} else {
			c.domainTLS[d] = &policy
		}
	}
}

// tlsFor returns the TLS policy for a domain that is found by DNS.
func (c *connector) tlsFor(domain string) *smtpclient.TLSPolicy {
	if p := c.domainTLS[domain]; p != nil {
		return p
	}
	for d, more := domain, len(c.belowTLS) > 0; more; _, d, more = strings.Cut(d, ".") {
		if p := c.belowTLS[d]; p != nil {
			return p
		}
	}
	return c.TLS
}
