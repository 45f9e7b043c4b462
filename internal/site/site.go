package site

import (
	"context"
	"net/netip"
)

// A Domain is an accepted domain and the destination of its mail.
type Domain struct {
	// Name is a domain, a pattern "*.domain", or an address literal.
	Name string
	// SmartHosts are the hosts that get the mail, in the form of
	// routing.SmartHost.Host. If it is empty, Connector or the address spaces
	// of the connectors decide.
	SmartHosts []string
	// Connector is the name of the send connector that delivers the mail.
	Connector string
	// Field is the setting that contains the domain, for findings, for example
	// "Listeners[0].Server: Gate.Domains[1]".
	Field string
}

// A Site is a relay as a whole: what a part must know of the other parts to
// check its own settings.
type Site struct {
	// Names are the host names of the relay.
	Names []string
	// Addrs are the addresses at which it receives mail. An unspecified address
	// ("0.0.0.0") means all addresses of this host.
	Addrs []netip.AddrPort
	// Domains are the accepted domains.
	Domains []Domain
	// Routes are the connectors to which settings route mail explicitly.
	Routes []Route
}

// A Route is a setting that names a connector.
type Route struct {
	Field     string // the setting
	Connector string
}

// A Validator is a part that checks its settings against the whole relay. It
// sends nothing. The subject of a finding is Domain.Field, or it begins with a
// setting of the part.
type Validator interface {
	ValidateSite(Site) []Finding
}

// A Checker is a part that also checks the systems that it depends on, for
// example the next hops. CheckSite returns when ctx ends.
type Checker interface {
	CheckSite(ctx context.Context, s Site) []Finding
}
