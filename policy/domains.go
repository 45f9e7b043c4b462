package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Kind is the relay's role for an accepted domain. The terms are Exchange's.
type Kind int

const (
	// Authoritative means that the Directory lists all recipients of the
	// domain. An unknown recipient is refused at RCPT with 550 5.1.1.
	Authoritative Kind = iota
	// InternalRelay means that the Directory lists some of the recipients. Mail
	// for other recipients is routed to another system.
	InternalRelay
	// ExternalRelay means that no recipient is on this system. All mail is
	// routed to another system.
	ExternalRelay
)

// String returns the name of the kind, for example "internal relay".
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

// A Domain is an accepted domain: the relay accepts mail for it from every
// client.
type Domain struct {
	// Name is a domain, a pattern "*.domain" for all domains below it (not the
	// domain itself), or an address literal such as "[192.0.2.1]". Spaces around
	// it are ignored, upper and lower case are equal, and a name that is not ASCII
	// is converted (IDNA).
	Name string
	// Kind is the relay's role for the domain. Default Authoritative.
	Kind Kind
	// Directory lists the recipients. An authoritative domain without a
	// Directory accepts every recipient. This is not an error, because some mail
	// systems have mailboxes for all recipients. But if the mail system behind
	// the relay refuses unknown recipients, the queue reports each failure to a
	// sender address that is often forged (backscatter). Set a Directory
	// wherever there is a list of the recipients.
	Directory Directory
	// SharedWith are the other mail systems that share the domain. The relay
	// asks them, in this order, about recipients that the Directory does not
	// list.
	SharedWith []OtherSystem
	// CatchAll is the mailbox that gets the mail for recipients that neither
	// Directory nor SharedWith lists, for every Kind except ExternalRelay. It
	// requires a Directory.
	CatchAll string
	// Unresolved is the next hop for recipients of an internal relay that
	// neither Directory nor SharedWith lists (Exchange: "forward all mail with
	// unresolved recipients to host"). It has a Connector of the routing
	// table, or only a Destination: a domain or address literal that the table
	// resolves. A Connector that is RoutedOnly and has smart hosts needs no
	// Destination. If Unresolved is zero, the routing table decides. If the
	// table does not have the Connector, the mail waits in the queue;
	// gateway.Gateway.Validate reports this.
	//
	// CatchAll, SharedWith and Unresolved apply to mail that is received by
	// SMTP. Give the queue [Domains.Hook] if they must apply to all mail. This
	// is necessary if senders in the domain must get delivery reports.
	Unresolved queue.NextHop
	// SmartHosts or Connector is the destination of the mail: hosts, in the
	// form of routing.SmartHost.Host ("10.0.0.5", "mail.example.com:2525"), or
	// the name of a send connector. Set at most one of the two. They take
	// effect in the routing table: give the domains to it with [Destinations].
	// If both are empty, the address spaces of the connectors decide.
	SmartHosts []string
	Connector  string
	// Default marks the domain of <postmaster> without a domain. If no domain
	// is marked, the first one that is not a pattern is the default.
	Default bool
}

// Domains is a fixed set of accepted domains. It is safe for concurrent use. A
// nil *Domains accepts no domain.
type Domains struct {
	exact    map[string]*Domain
	below    map[string]*Domain // keyed by what follows "*."
	fallback string             // the default domain
}

// NewDomains checks the domains and returns a set of them. The error names
// each wrong domain.
func NewDomains(domains ...Domain) (*Domains, error) {
	ds := &Domains{exact: map[string]*Domain{}, below: map[string]*Domain{}}
	var errs []error
	marked := ""
	for _, d := range domains {
		d.Name = strings.TrimSpace(d.Name)
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
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: an address literal has no domains below it", d.Name))
			continue
		case d.Kind < Authoritative || d.Kind > ExternalRelay:
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: no such kind: %d", d.Name, d.Kind))
		case into[c] != nil:
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: listed twice", d.Name))
		}
		if err := d.checkUnknown(); err != nil {
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: %w", d.Name, err))
		}
		into[c] = &d
		switch pattern := into[c].Name[0] == '*'; {
		case d.Default && pattern:
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: a pattern cannot be the default domain", d.Name))
		case d.Default && marked != "":
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: %q is already the default domain", d.Name, marked))
		case d.Default:
			marked, ds.fallback = d.Name, c
		case ds.fallback == "" && !pattern:
			ds.fallback = c
		}
	}
	for i := range domains {
		errs = append(errs, domains[i].validateDirectories(ds)...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return ds, nil
}

// checkUnknown checks the settings for unknown recipients.
func (d *Domain) checkUnknown() error {
	switch {
	case d.CatchAll != "" && (d.Directory == nil || d.Kind == ExternalRelay):
		return errors.New("CatchAll requires a Directory and a Kind other than ExternalRelay")
	case d.CatchAll != "":
		if err := addr.Mailbox(d.CatchAll, true); err != nil {
			return fmt.Errorf("CatchAll %q: %w", d.CatchAll, err)
		}
	case d.Unresolved != queue.NextHop{} && (d.Directory == nil || d.Kind != InternalRelay):
		return errors.New("setting Unresolved requires the Kind InternalRelay and a Directory")
	}
	if len(d.SharedWith) > 0 && (d.Directory == nil || d.Kind == ExternalRelay) {
		return errors.New("SharedWith requires a Directory and a Kind other than ExternalRelay")
	}
	for i, o := range d.SharedWith {
		switch {
		case o.Directory == nil:
			return fmt.Errorf("no Directory in SharedWith[%d]", i)
		case o.Route == queue.NextHop{}:
			return fmt.Errorf("no Route in SharedWith[%d]", i)
		}
	}
	return nil
}

// validateDirectories checks the directories of the domain, which is one of ds.
func (d *Domain) validateDirectories(ds *Domains) []error {
	var errs []error
	check := func(setting string, directory Directory) {
		for _, err := range validateDirectory(directory, ds) {
			errs = append(errs, fmt.Errorf("policy: accepted domain %q: %s: %w", d.Name, setting, err))
		}
	}
	if d.Directory != nil {
		check("Directory", d.Directory)
	}
	for i, o := range d.SharedWith {
		if o.Directory != nil { // checkUnknown has reported nil
			check(fmt.Sprintf("SharedWith[%d].Directory", i), o.Directory)
		}
	}
	return errs
}

// Lookup returns the accepted domain to which a domain name belongs: the exact
// one, otherwise the pattern with the longest match. It returns nil if there
// is none.
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

// Default returns the domain of <postmaster> without a domain. It is empty if
// all accepted domains are patterns.
func (ds *Domains) Default() string {
	if ds == nil {
		return ""
	}
	return ds.fallback
}

// qualify adds the default domain to <postmaster> without a domain, so that it
// can be routed (RFC 5321, 4.5.1).
func (ds *Domains) qualify(address string) string {
	if addr.Lower(address) == "postmaster" && ds.Default() != "" {
		return address + "@" + ds.Default()
	}
	return address
}
