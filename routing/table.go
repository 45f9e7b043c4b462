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

// A Table is a set of connectors that was found to be sound. It is immutable:
// to change the routing, make another Table and give it to Router.SetTable.
type Table struct {
	site       self
	domains    domainSet    // Site.Domains
	connectors []*connector // in the order given
	byName     map[string]*connector

	// The candidates for a domain, each list in the order of cost, then name.
	exact map[string][]candidate
	below map[string][]candidate
	all   []candidate
}

// A candidate is a connector, and the address space that fits.
type candidate struct {
	c     *connector
	space *space
}

// A Site is what is ours, so that a Table can tell a way out from a way back
// in. The zero value knows nothing of us; a Router adds its Hostname.
type Site struct {
	// Names are the host names of this relay, as MX records have them.
	Names []string
	// Addrs are the addresses and ports that it receives mail on. An
	// unspecified address (":25" is netip.AddrPortFrom(netip.IPv4Unspecified(),
	// 25)) stands for all addresses of this host.
	Addrs []netip.AddrPort
	// Domains are the accepted domains for which this relay is the way in:
	// "example.com", "*.example.com". Name them: without that, while the hosts
	// of their own connector are down, or it is disabled, mail for them goes
	// where that for the rest of the world goes ("*"), and comes back.
	Domains []string
	// BackupDomains are accepted domains for which it is only a backup: they
	// may be delivered by DNS, to better MX hosts than us.
	BackupDomains []string
}

// self is a Site that has been understood.
type self struct {
	names map[string]bool
	addrs map[netip.AddrPort]bool
}

// A ConfigError tells what is wrong with a connector, a Site or a Table.
type ConfigError struct {
	Connector string // its name, "number 3" where it has none, "(site)" or "(table)"
	Field     string // as "Spaces[1]"
	Problem   string
}

func (e *ConfigError) Error() string {
	at := e.Connector
	if !strings.HasPrefix(at, "(") {
		at = "connector " + at
	}
	return fmt.Sprintf("%s: %s: %s", at, e.Field, e.Problem)
}

// NewTable makes a Table of connectors, of which there must be one at least, for
// a relay that says nothing of itself. The error joins one *ConfigError for
// each fault.
func NewTable(connectors ...Connector) (*Table, error) { return Site{}.NewTable(connectors...) }

// NewTable makes a Table that knows what is ours. Each accepted domain needs a
// connector with an address space for it, if only "*". The error joins one
// *ConfigError for each fault.
func (s Site) NewTable(connectors ...Connector) (*Table, error) {
	t := &Table{
		byName: make(map[string]*connector),
		exact:  make(map[string][]candidate),
		below:  make(map[string][]candidate),
	}
	b := &builder{t: t}
	b.site(s)
	for i := range connectors {
		b.connector(i, &connectors[i])
	}
	b.fallbacks()
	b.alike()
	if len(connectors) == 0 {
		b.at = "(table)"
		b.fault("connectors", "there are none: no mail could leave")
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

// Connectors are the names of the table's connectors, in the order given.
func (t *Table) Connectors() []string {
	names := make([]string, len(t.connectors))
	for i, c := range t.connectors {
		names[i] = c.Name
	}
	return names
}

// matches yields the candidates for a domain (in canonical form): the most
// specific address space first, then the lowest cost, then by name. A domain
// itself is more specific than *. before it.
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

// hasName and hasAddr say whether a name, or an address with port, is our own.
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
