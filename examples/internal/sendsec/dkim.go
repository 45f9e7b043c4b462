package sendsec

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// DKIM are the settings for the signatures of the organization's mail.
type DKIM struct {
	domains       program.List
	selector, key string

	prefix string // of the names of the settings
}

// Define defines the settings PREFIXdomain, PREFIXselector and PREFIXkey.
func (d *DKIM) Define(f *flag.FlagSet, prefix string) {
	d.prefix = prefix
	f.Var(&d.domains, prefix+"domain", "`domains` whose mail gets a DKIM signature, with their subdomains; default: none")
	f.StringVar(&d.selector, prefix+"selector", "", "`selector` of the key: its TXT record has the name SELECTOR._domainkey.DOMAIN")
	f.StringVar(&d.key, prefix+"key", "", "PEM `file` with the RSA or Ed25519 key of the signatures, mode 0600. It is read again when it changes")
}

// A Signer signs with the key of the settings.
type Signer struct{ keys []dkim.Key }

// Use checks the settings. It adds the signatures to the mail that a gate accepts from
// clients that may send to all domains, and to the mail that the gateway itself makes.
// It returns the Signer, or nil if the mail gets no signatures.
func (d *DKIM) Use(k *program.Kit, gate *policy.Gate, r *program.Rules) *Signer {
	s := d.signer(k)
	if s == nil {
		return nil
	}
	signer := &dkim.Signer{Keys: dkim.Keys(s.keys...), When: fromOrganization}
	gate.Outbound = append(gate.Outbound, signer.Agent())
	r.Hooks = append(r.Hooks, signer.Hook()) // delivery reports, TLS reports, files of -pickup
	return s
}

// fromOrganization reports whether the client of a session may send to all domains.
func fromOrganization(s *smtpserver.Session, _ *smtpserver.Message) bool {
	return policy.RightsOf(context.Background(), s)&policy.AcceptAnyRecipient != 0
}

// signer returns nil if no setting is set, or one of them has a fault.
func (d *DKIM) signer(k *program.Kit) *Signer {
	if len(d.domains) == 0 && d.selector == "" && d.key == "" {
		return nil
	}
	k.Require(d.prefix+"domain", len(d.domains) > 0)
	k.Require(d.prefix+"selector", d.selector != "")
	k.Require(d.prefix+"key", d.key != "")
	text := k.SecretFile(d.prefix+"key", d.key)
	if text == nil || d.selector == "" {
		return nil
	}
	private, err := dkim.ParsePrivateKey(text)
	if err != nil {
		k.Fault(d.prefix+"key", fmt.Errorf("%s: %w", d.key, plain(err)))
		return nil
	}
	if !d.check(k, "key", dkim.Key{Domain: "example.com", Selector: "s", Private: private}) ||
		!d.check(k, "selector", dkim.Key{Domain: "example.com", Selector: d.selector, Private: private}) {
		return nil
	}
	s := new(Signer)
	for i, domain := range d.domains {
		setting := fmt.Sprintf("domain[%d]", i)
		key := dkim.Key{Domain: strings.ToLower(domain), Selector: d.selector, Private: private}
		if slices.ContainsFunc(s.keys, func(o dkim.Key) bool { return o.Domain == key.Domain }) {
			k.Fault(d.prefix+setting, fmt.Errorf("%s is there twice", domain))
		}
		if !d.check(k, setting, key) {
			return nil
		}
		s.keys = append(s.keys, key)
	}
	return s
}

// check reports the fault of a key, if it has one, as the fault of a setting.
func (d *DKIM) check(k *program.Kit, setting string, key dkim.Key) bool {
	err := key.Validate()
	if err != nil {
		k.Fault(d.prefix+setting, plain(err))
	}
	return err == nil
}

// signs reports whether the Signer, which may be nil, signs mail of a domain.
func (s *Signer) signs(domain string) bool {
	return s != nil && len(dkim.Keys(s.keys...)(domain)) > 0
}

// plain returns an error of package dkim without the name of the package.
func plain(err error) error { return errors.New(strings.TrimPrefix(err.Error(), "dkim: ")) }
