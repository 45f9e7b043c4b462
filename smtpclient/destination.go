package smtpclient

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

// A Destination is where mail goes together: a domain, or a set of smart
// hosts. A new value may be made for each Send. Sessions are shared by
// destinations that have equal values of Name, Domain, TLS, Hostname and
// Connector, and the same identity of Auth.
type Destination struct {
	// Name identifies the destination. Destinations with other hosts must have
	// other names. Without a name, Send asks for the hosts each time, and
	// shares sessions among destinations with the same hosts.
	Name string
	// Domain is the recipient domain whose MX hosts these are, in A-label
	// form. MTA-STS and TLSRPT apply to it. Empty for smart hosts, see
	// Host.Domain.
	Domain string
	// Hosts returns the hosts in order of preference, hosts of equal
	// preference already shuffled. It is asked only when a new connection is
	// needed. An error in which errors.As finds a *smtp.SMTPError with a 5xx
	// code (null MX, no such domain) fails the recipients; with any other
	// error the destination is Unreachable.
	Hosts func(ctx context.Context) ([]Host, error)
	// TLS overrides Transport.TLS.
	TLS *TLSPolicy
	// Auth overrides Transport.Auth.
	Auth Authenticator
	// Hostname is for a Transport that has none.
	Hostname string
	// Connector is the name of the send connector, in logs. Default
	// Transport.Name.
	Connector string

	hosts string // what sets it apart from others without a name
}

// identified is the destination, with its hosts found and written down where
// it has no name, so that its sessions can be told from others.
func (dst *Destination) identified(ctx context.Context) (*Destination, error) {
	if dst.Name != "" || dst.Hosts == nil {
		return dst, nil
	}
	hosts, err := dst.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(hosts))
	for i := range hosts {
		texts[i] = fmt.Sprintf("%q %q %v", hosts[i].Name, hosts[i].Socket, hosts[i].Addrs)
	}
	slices.Sort(texts) // hosts of equal preference come in any order
	d := *dst
	d.Hosts, d.hosts = HostList(hosts...), strings.Join(texts, ", ")
	return &d, nil
}

// A Host is one host of a destination.
type Host struct {
	// Name as the MX record or the operator has it, in A-label form without
	// the final dot, or an address literal in brackets. It is the name that
	// a certificate must have where the policy asks for one.
	Name string
	// Addrs to try, in order; families are alternated. Empty means that the
	// host has no address, which is skipped.
	Addrs []netip.AddrPort
	// Socket is the path of a Unix-domain socket, instead of Addrs.
	Socket string
	// Domain is the policy domain of the host where it is not
	// Destination.Domain, in A-label form: that of a smart host is its own
	// name (RFC 8461, 3.4). MTA-STS and TLSRPT apply to it.
	Domain string
	// DANE is what the TLSA lookup for the host brought, where MX, address and
	// TLSA answers were all authenticated by DNSSEC, or where the TLSA lookup
	// failed; nil otherwise (RFC 7672, 2.2).
	DANE *dane.Answer
}

// HostList is Destination.Hosts for hosts that do not change.
func HostList(hosts ...Host) func(context.Context) ([]Host, error) {
	return func(context.Context) ([]Host, error) { return hosts, nil }
}
