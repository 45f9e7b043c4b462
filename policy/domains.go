package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Kind says what a relay is to an accepted domain, in Exchange's terms.
type Kind int

const (
	// Authoritative: all its recipients are known; an unknown one is refused
	// at RCPT with 550 5.1.1.
	Authoritative Kind = iota
	// InternalRelay: some of its recipients are known here, the rest live on
	// another system that mail is routed on to.
	InternalRelay
	// ExternalRelay: none of its recipients are here; all mail is routed on.
	ExternalRelay
)

// String is the kind in words.
func (k Kind) String() string {
	switch k {
	case Authoritative:
		return "authoritative"
	case InternalRelay:
		return "internal relay"
	case ExternalRelay:
		return "external relay"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// A Domain is one that mail is accepted for, whoever sends it.
type Domain struct {
	// Name is a domain, "*.domain" for all domains below it (not for the
	// domain itself), or an address literal as "[192.0.2.1]".
	Name string
	Kind Kind
	// Directory knows the recipients. An authoritative domain without one
	// accepts every recipient: the mail system behind has to answer for them.
	Directory Directory
	// Elsewhere are other mail systems that share the domain, asked in their
	// order for recipients whom the Directory does not know.
	Elsewhere []OtherSystem
	// CatchAll is the mailbox that gets the mail for recipients whom nobody
	// of the above knows, whatever the Kind.
	CatchAll string
	// Unresolved is where the mail for recipients of an internal relay goes
	// whom nobody of the above knows ("forward all mail with unresolved
	// recipients to host"): a Connector of the routing table (one that is
	// RoutedOnly, with smart hosts, needs no Destination), or without one a
	// Destination, which is a domain or address literal that the table finds
	// the way to. Zero leaves it to the routing table altogether.
	//
	// CatchAll, Elsewhere and Unresolved are for mail that comes by SMTP. Give
	// the queue [Domains.Hook] if they shall serve for all mail, as they must
	// where senders in the domain are to get reports.
	Unresolved queue.NextHop
	// Default marks the domain that <postmaster> without a domain belongs
	// to. Where none is marked it is the first that is no pattern.
	Default bool
}

// Domains is an immutable set of accepted domains; safe for concurrent use.
// A nil *Domains accepts none.
type Domains struct {
	exact    map[string]*Domain
	below    map[string]*Domain // keyed by what follows "*."
	fallback string             // the default domain
}

// NewDomains checks the domains and makes a set of them. The error names each
// domain that is wrong.
func NewDomains(domains ...Domain) (*Domains, error) {
	ds := &Domains{exact: map[string]*Domain{}, below: map[string]*Domain{}}
	var errs []error
	marked := ""
	for _, d := range domains {
		name, into := d.Name, ds.exact
		if rest, ok := strings.CutPrefix(name, "*."); ok {
			name, into = rest, ds.below
		}
		c, err := addr.Domain(name)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: not a domain name: %w", d.Name, err))
			continue
		case c[0] == '[' && len(d.Name) > len(name):
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: an address has no domains below it", d.Name))
			continue
		case d.Kind < Authoritative || d.Kind > ExternalRelay:
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: no such kind: %d", d.Name, d.Kind))
		case into[c] != nil:
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: stands there twice", d.Name))
		}
		if err := d.checkUnknown(); err != nil {
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: %w", d.Name, err))
		}
		into[c] = &d
		switch pattern := into[c].Name[0] == '*'; {
		case d.Default && pattern:
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: a pattern cannot be the default domain", d.Name))
		case d.Default && marked != "":
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: %q is the default domain already", d.Name, marked))
		case d.Default:
			marked, ds.fallback = d.Name, c
		case ds.fallback == "" && !pattern:
			ds.fallback = c
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return ds, nil
}

// checkUnknown checks what is to become of unknown recipients.
func (d *Domain) checkUnknown() error {
	switch {
	case d.CatchAll != "" && (d.Directory == nil || d.Kind == ExternalRelay):
		return errors.New("a CatchAll needs a Directory that is asked")
	case d.CatchAll != "":
		if err := addr.Mailbox(d.CatchAll, true); err != nil {
			return fmt.Errorf("CatchAll %q: %w", d.CatchAll, err)
		}
	case d.Unresolved != queue.NextHop{} && (d.Directory == nil || d.Kind != InternalRelay):
		return errors.New("an Unresolved is for internal relays with a Directory")
	}
	if len(d.Elsewhere) > 0 && (d.Directory == nil || d.Kind == ExternalRelay) {
		return errors.New("an Elsewhere needs a Directory that is asked before")
	}
	for i, o := range d.Elsewhere {
		switch {
		case o.Directory == nil:
			return fmt.Errorf("no Directory in Elsewhere[%d]", i)
		case o.Route == queue.NextHop{}:
			return fmt.Errorf("no Route in Elsewhere[%d]", i)
		}
	}
	return nil
}

// Lookup finds the accepted domain that a domain name belongs to: the exact
// one, otherwise the pattern with the longest match. Nil when none does.
func (ds *Domains) Lookup(domain string) *Domain {
	if ds == nil || domain == "" {
		return nil
	}
	c, err := addr.Domain(domain)
	if err != nil {
		return nil
	}
	if d := ds.exact[c]; d != nil {
		return d
	}
	for len(ds.below) > 0 {
		_, rest, ok := strings.Cut(c, ".")
		if !ok {
			return nil
		}
		if d := ds.below[rest]; d != nil {
			return d
		}
		c = rest
	}
	return nil
}

// Default is the domain that <postmaster> belongs to; empty when no domain is
// accepted but by patterns.
func (ds *Domains) Default() string {
	if ds == nil {
		return ""
	}
	return ds.fallback
}

// qualify gives <postmaster> without a domain the default domain, so that it
// can be routed (RFC 5321, 4.5.1).
func (ds *Domains) qualify(address string) string {
	if addr.Lower(address) == "postmaster" && ds.Default() != "" {
		return address + "@" + ds.Default()
	}
	return address
}
