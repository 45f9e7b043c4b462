package routing

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// A Table is a validated set of connectors. It is immutable. To change the
// routing of a Router, make a new Table and call Router.SetTable.
type Table struct {
	site       self
	accepted   map[string]AcceptedDomain // Site.Accepted, by name
	domains    domainSet                 // Site.Domains
	backup     domainSet                 // Site.BackupDomains
	connectors []*connector              // in the order given
	byName     map[string]*connector

	// The candidates for a domain. Each list is sorted by cost, then by name.
	exact map[string][]candidate
	below map[string][]candidate
	all   []candidate
}

// A candidate is a connector and its address space that matches.
type candidate struct {
	c     *connector
	space *space
}

// A Site describes this relay: its names, addresses and accepted domains. A
// Table uses it to detect mail loops. The zero value contains no name, address
// or domain; a Router adds its Hostname.
type Site struct {
	// Names are the host names of this relay, as they appear in MX records.
	Names []string
	// Addrs are the addresses and ports at which this relay receives mail. An
	// unspecified address means all addresses of this host. For ":25", use
	// netip.AddrPortFrom(netip.IPv4Unspecified(), 25).
	Addrs []netip.AddrPort
	// Domains are the accepted domains whose MX records name this relay:
	// "example.com", "*.example.com" (the domain and its subdomains). Spaces
	// around a domain are ignored, as in policy.Domain. List all of them. If a domain is missing and its own connector is disabled or its
	// hosts are down, the mail is sent by the connector for "*" and comes back
	// to this relay.
	Domains []string
	// Accepted are accepted domains with the destinations of their mail,
	// usually from policy.Destinations. NewTable adds their names to Domains.
	// The mail of a domain with SmartHosts goes to these hosts: for each
	// different list of hosts, NewTable adds an Exclusive connector. Its name
	// is that of the first domain with this list. If a domain has a Connector,
	// its name is added to the address spaces of that connector. The pattern
	// "*.example.com" serves example.com too.
	Accepted []AcceptedDomain
	// BackupDomains are accepted domains for which this relay is only a backup
	// MX. Their mail can be delivered by DNS to MX hosts with a better
	// preference.
	BackupDomains []string
}

// self is a parsed Site.
type self struct {
	names map[string]bool
	addrs map[netip.AddrPort]bool
}

// A ConfigError describes one fault in a Connector, a Site or a Table.
type ConfigError struct {
	Connector string // its name, "number 3" if it has no name, "(site)" or "(table)"
	Field     string // for example "Spaces[1]"
	Problem   string // what is wrong
}

func (e *ConfigError) Error() string {
	at := e.Connector
	if !strings.HasPrefix(at, "(") {
		at = "connector " + at
	}
	return fmt.Sprintf("%s: %s: %s", at, e.Field, e.Problem)
}

// NewTable makes a Table of one or more connectors, with an empty Site. The
// error joins one *ConfigError for each fault.
func NewTable(connectors ...Connector) (*Table, error) { return Site{}.NewTable(connectors...) }

// NewTable makes a Table of one or more connectors for this Site. Each
// accepted domain must match an address space of a connector ("*" is
// sufficient). The error joins one *ConfigError for each fault.
func (s Site) NewTable(connectors ...Connector) (*Table, error) {
	t := &Table{
		byName: make(map[string]*connector),
		exact:  make(map[string][]candidate),
		below:  make(map[string][]candidate),
	}
	b := &builder{t: t}
	s, connectors = b.destinations(s, connectors)
	b.site(s)
	for i := range connectors {
		b.connector(i, &connectors[i])
	}
	b.fallbacks()
	b.duplicates()
	if len(connectors) == 0 {
		b.at = "(table)"
		b.fault("connectors", "missing: a table needs at least one")
	} else {
		b.accepted()
	}
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	byCost := func(a, b candidate) int {
		return cmp.Or(a.space.cost-b.space.cost, strings.Compare(a.c.Name, b.c.Name))
	}
	slices.SortFunc(t.all, byCost)
	for _, m := range []map[string][]candidate{t.exact, t.below} {
		for _, list := range m {
			slices.SortFunc(list, byCost)
		}
	}
	return t, nil
}

// Connectors returns the names of the table's connectors, in the order given.
func (t *Table) Connectors() []string {
	names := make([]string, len(t.connectors))
	for i, c := range t.connectors {
		names[i] = c.Name
	}
	return names
}

// matches yields the candidates for a domain in canonical form: the most
// specific address space first, then the lowest cost, then by name. A domain
// is more specific than "*." before the same domain.
func (t *Table) matches(domain string, yield func(candidate) bool) {
	for _, c := range t.exact[domain] {
		if !yield(c) {
			return
		}
	}
	if len(t.below) > 0 && !strings.HasPrefix(domain, "[") {
		for d, more := domain, true; more; _, d, more = strings.Cut(d, ".") {
			for _, c := range t.below[d] {
				if !yield(c) {
					return
				}
			}
		}
	}
	for _, c := range t.all {
		if !yield(c) {
			return
		}
	}
}

// hasName and hasAddr report whether a name, or an address with port, belongs
// to this relay.
func (s *self) hasName(name string) bool { return s.names[name] }

func (s *self) hasAddr(a netip.AddrPort) bool {
	return len(s.addrs) > 0 && s.addrs[netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())]
}

func (s *self) add(names []string, addrs []netip.AddrPort) error {
	s.names, s.addrs = make(map[string]bool), make(map[netip.AddrPort]bool)
	var errs []error
	for _, n := range names {
		d, err := addr.Domain(n)
		s.names[d] = true
		errs = append(errs, err)
	}
	for _, ap := range addrs {
		if !ap.Addr().IsUnspecified() {
			s.addrs[netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())] = true
			continue
		}
		own, err := net.InterfaceAddrs()
		errs = append(errs, err)
		for _, a := range own {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				s.addrs[netip.AddrPortFrom(p.Addr().Unmap(), ap.Port())] = true
			}
		}
	}
	return errors.Join(errs...)
}
