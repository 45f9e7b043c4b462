package sendsec

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/mail"
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// Internet are the settings for the sessions of a connector with hosts of the internet.
type Internet struct {
	mtaSTS, dane          bool
	reports, organization string

	prefix string          // of the names of the settings
	due    <-chan struct{} // for tests: sends the reports now
}

// Define defines the settings PREFIXmta-sts, PREFIXdane, PREFIXtls-reports and
// PREFIXtls-reports-organization.
func (i *Internet) Define(f *flag.FlagSet, prefix string) {
	i.prefix = prefix
	f.BoolVar(&i.mtaSTS, prefix+"mta-sts", false, "apply the MTA-STS policies of the recipients' domains. They are fetched by HTTPS")
	f.BoolVar(&i.dane, prefix+"dane", false, "apply the TLSA records of the recipients' hosts (DANE); needs -dnssec")
	f.StringVar(&i.reports, prefix+"tls-reports", "", "sender `address` of the daily reports about TLS to the domains that request them; its domain needs a\nDKIM key; default: no reports")
	f.StringVar(&i.organization, prefix+"tls-reports-organization", "", "`name` of the organization in the reports; default: the domain of the address")
}

// Use checks the settings and applies them to a connector. It makes the transport of
// the connector, and returns it for further settings. signer is that of DKIM.Use.
func (i *Internet) Use(k *program.Kit, c *routing.Connector, r *program.Rules, signer *Signer) *smtpclient.Transport {
	i.check(k, c, signer)
	s := stateOf(k, i.prefix)
	t := k.Transport(c.Name)
	c.Transport = routing.SMTP(t)
	if i.mtaSTS {
		t.MTASTS = s.policies
	}
	if i.reports != "" {
		t.TLSReport = s.collector.Record
		if len(c.Scope.ReceiveConnectors) > 0 {
			c.Scope.ReceiveConnectors = append(c.Scope.ReceiveConnectors[:len(c.Scope.ReceiveConnectors):len(c.Scope.ReceiveConnectors)], origin)
		}
	}
	if !i.dane && level(c) != smtpclient.TLSDANE {
		c.Resolver = unauthenticated{k.Resolver}
	}
	now := *i
	r.Applied = append(r.Applied, func() { s.use(&now) })
	r.Tasks = append(r.Tasks, s.refresh, s.send)
	r.Closers = append(r.Closers, s)
	return t
}

// check checks the settings. MTA-STS and DANE have no effect at some TLS levels.
func (i *Internet) check(k *program.Kit, c *routing.Connector, signer *Signer) {
	l := level(c)
	if l != smtpclient.TLSOpportunistic && l != smtpclient.TLSEncrypt {
		err := fmt.Errorf("has no effect at the TLS level %s, only at opportunistic and encrypt", l)
		if i.mtaSTS {
			k.Fault(i.prefix+"mta-sts", err)
		}
		if i.dane && l != smtpclient.TLSDANE {
			k.Fault(i.prefix+"dane", err)
		}
	}
	if i.dane && !k.DNSSEC {
		k.Fault(i.prefix+"dane", errors.New("needs -dnssec, and DNS servers that validate DNSSEC"))
	}
	if i.reports == "" {
		if i.organization != "" {
			k.Fault(i.prefix+"tls-reports-organization", fmt.Errorf("needs -%stls-reports", i.prefix))
		}
		return
	}
	a, err := mail.ParseAddress(i.reports)
	_, domain, _ := strings.Cut(i.reports, "@")
	switch {
	case err != nil || a.Address != i.reports || strings.ContainsAny(i.reports, `"`):
		k.Fault(i.prefix+"tls-reports", fmt.Errorf("%q is not an address", i.reports))
	case l == smtpclient.TLSNone:
		k.Fault(i.prefix+"tls-reports", errors.New("there are no TLS sessions to report at the TLS level none"))
	case !signer.signs(domain):
		k.Fault(i.prefix+"tls-reports", fmt.Errorf("needs a DKIM key for %s: reports without signature are not accepted (RFC 8460, 3)", domain))
	}
	if strings.ContainsAny(i.organization, "\r\n\"") {
		k.Fault(i.prefix+"tls-reports-organization", errors.New("has a quotation mark or a line end"))
	}
}

// level returns the TLS level of a connector.
func level(c *routing.Connector) smtpclient.TLSLevel {
	switch {
	case c.TLS != nil && c.TLS.Level != smtpclient.TLSDefault:
		return c.TLS.Level
	case c.Auth != nil:
		return smtpclient.TLSDomain // a password is sent only to the right host
	}
	return smtpclient.TLSOpportunistic
}

// unauthenticated is a Resolver whose answers are not secure, so that DANE is not used.
type unauthenticated struct{ routing.Resolver }

// Lookup implements routing.Resolver.
func (u unauthenticated) Lookup(ctx context.Context, name string, t routing.RecordType) (*routing.Answer, error) {
	a, err := u.Resolver.Lookup(ctx, name, t)
	if a != nil && a.Secure {
		changed := *a // answers are shared
		changed.Secure = false
		a = &changed
	}
	return a, err
}

// Authenticated reports that no answer is secure.
func (u unauthenticated) Authenticated() bool { return false }
