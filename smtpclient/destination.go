package smtpclient

import (
	"context"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

// A Destination is where mail goes together: a domain, or a set of smart
// hosts. A new value may be made for each Send: sessions are kept under Name,
// TLS and the identity of Auth, so two destinations that are equal in these
// share them.
type Destination struct {
	// Name identifies the destination, in logs and for the pool.
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
