package smtpclient

import (
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

// key identifies a destination, and what its mail requires of a session.
type key struct {
	name, hosts, domain string // see Destination
	tls                 TLSPolicy
	auth                bool
	identity            string
	hostname, connector string // the name in EHLO, and the name in the protocol log
}

func (t *Transport) key(dst *Destination) key {
	k := key{
		name: dst.Name, hosts: dst.hosts, domain: dst.Domain, tls: t.policy(dst),
		hostname: or(t.Hostname, dst.Hostname), connector: t.connector(dst),
	}
	if a := t.auth(dst); a != nil {
		k.auth, k.identity = true, a.Identity()
	}
	return k
}

// sessionKey identifies the sessions that may carry the same mail, for whatever
// destination: the address, and all that the session depends on. The domain is
// not part of it. What the domain publishes is: it decides the policy.
type sessionKey struct {
	addr, host          string // host is the name that the certificate is for
	tls                 TLSPolicy
	policy, dane        string // the policy that applies to the host, and its TLSA records
	proves, provable    bool   // see security.proves and security.prove
	auth                bool
	identity            string
	hostname, connector string
}

func (t *Transport) sessionKey(dst *Destination, tg *target) sessionKey {
	k, s := t.key(dst), &tg.security
	return sessionKey{
		addr: tg.addr, host: tg.host.Name, tls: k.tls, policy: s.policy, dane: tg.records(),
		proves: s.proves, provable: s.prove != nil,
		auth: k.auth, identity: k.identity, hostname: k.hostname, connector: k.connector,
	}
}

// records returns the TLSA records by which the host's certificate is verified,
// with the names that it must be for. DANE-EE records need no name
// (RFC 7671, 5.1), so that the domains of a host can share its sessions.
func (tg *target) records() string {
	d := tg.host.DANE
	if d == nil || len(d.Records) == 0 {
		return ""
	}
	var b strings.Builder
	named := false
	for _, r := range d.Records {
		b.WriteString(r.String())
		b.WriteByte('\n')
		named = named || r.Usage != dane.EE
	}
	names := d.Names
	if !named {
		names = names[:min(len(names), 1)] // the name in the handshake
	}
	for _, name := range names {
		b.WriteString(name)
		b.WriteByte('\n')
	}
	return b.String()
}
