package smtpclient

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

// A Destination is a set of hosts that take the same mail: the MX hosts of a
// domain, or a set of smart hosts. The caller may make a new value for each
// Send. Destinations with a common host share its sessions if the name, the
// address and the DANE records of the host, the TLS policy that applies to it,
// Hostname, Connector and the identity of Auth are equal.
type Destination struct {
	// Name identifies the destination. Destinations with different hosts must
	// have different names. If Name is empty, Send calls Hosts each time.
	Name string
	// Domain is the recipient domain of the MX hosts, in A-label form. MTA-STS
	// and TLSRPT apply to it. It is empty for smart hosts; see Host.Domain.
	Domain string
	// Hosts returns the hosts in order of preference. It must shuffle hosts of
	// equal preference. If Name is set, Send calls it only when there is
	// no idle session with a host that the destination used lately (within
	// Transport.IdleTimeout). If the error of Hosts is or wraps a
	// *smtp.SMTPError with a 5xx code (for example, the domain does not exist
	// or has a null MX), the recipients fail. After any other error the result
	// is Unreachable.
	Hosts func(ctx context.Context) ([]Host, error)
	// TLS overrides Transport.TLS if it is not nil.
	TLS *TLSPolicy
	// Auth overrides Transport.Auth if it is not nil.
	Auth Authenticator
	// Hostname is the name for EHLO if Transport.Hostname is empty.
	Hostname string
	// Connector is the name of the send connector, in logs. Default
	// Transport.Name.
	Connector string

	hosts string // identifies a destination without a name
}

// withHosts returns dst, or if it has no name a copy with the hosts that
// identify it.
func (dst *Destination) withHosts(ctx context.Context) (*Destination, error) {
	if dst.Name != "" || dst.Hosts == nil {
		return dst, nil
	}
	hosts, err := dst.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(hosts))
	for i := range hosts {
		h := &hosts[i]
		texts[i] = fmt.Sprintf("%q %q %v %q %q", h.Name, h.Socket, h.Addrs, h.Domain, (&target{host: *h}).records())
	}
	slices.Sort(texts) // hosts of equal preference come in any order
	d := *dst
	d.Hosts, d.hosts = HostList(hosts...), strings.Join(texts, ", ")
	return &d, nil
}

// A Host is one host of a destination.
type Host struct {
	// Name is the host name from the MX record or the configuration, in A-label
	// form without the final dot, or an address literal in brackets. If the
	// policy requires a certificate for a name, this is the name.
	Name string
	// Addrs are the addresses to try, in order. Send alternates between IPv4
	// and IPv6. It skips a host without addresses.
	Addrs []netip.AddrPort
	// Socket is the path of a Unix-domain socket, instead of Addrs.
	Socket string
	// Preference is the preference of the host, lower numbers first, as in MX
	// records. When all sessions of a host are in use, Send uses another host
	// of equal preference. If there is no such host, Send waits. It does not
	// use a host with a higher number instead. Hosts without preferences are
	// equal.
	Preference int
	// Domain is the policy domain of the host, in A-label form, to which MTA-STS
	// and TLSRPT apply. Default Destination.Domain. The policy domain of a smart
	// host is its own name (RFC 8461, 3.4).
	Domain string
	// DANE is the answer of the TLSA lookup for the host, if DNSSEC
	// authenticated the MX, address and TLSA answers, or if the TLSA lookup
	// failed. Otherwise it is nil (RFC 7672, 2.2).
	DANE *dane.Answer
}

// HostList returns a function for Destination.Hosts that always returns hosts.
func HostList(hosts ...Host) func(context.Context) ([]Host, error) {
	return func(context.Context) ([]Host, error) { return hosts, nil }
}
