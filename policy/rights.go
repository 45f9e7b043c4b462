package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Right is a set of what a session may do. The rights are Exchange's, without
// their prefix ms-Exch-SMTP-.
type Right uint16

const (
	// Submit mail at all. Without it MAIL is refused.
	Submit Right = 1 << iota
	// AcceptAnyRecipient: relay to recipients outside the accepted domains.
	AcceptAnyRecipient
	// AcceptAnySender: use senders that are not the identity's own; see
	// [SendAs].
	AcceptAnySender
	// AcceptAuthoritativeDomainSender: use senders of the accepted domains;
	// see [Spoofing].
	AcceptAuthoritativeDomainSender
	// BypassAntiSpam: the agents that judge strangers are not asked.
	BypassAntiSpam
	// BypassMessageSizeLimit of the server.
	BypassMessageSizeLimit
	// AcceptRoutingHeaders: keep Received and Resent-* fields; for header
	// firewalls.
	AcceptRoutingHeaders
	// AcceptOrganizationHeaders: keep the organisation's own fields; for
	// header firewalls.
	AcceptOrganizationHeaders
)

// Exchange's permission groups.
const (
	AnonymousUsers  = Submit | AcceptAnySender | AcceptAuthoritativeDomainSender | AcceptRoutingHeaders
	ExchangeUsers   = Submit | AcceptAnyRecipient | BypassAntiSpam | AcceptRoutingHeaders
	Partners        = Submit | AcceptRoutingHeaders
	ExchangeServers = AnonymousUsers | ExchangeUsers | BypassMessageSizeLimit | AcceptOrganizationHeaders
	// ExternallySecured is for hosts that are trusted as one's own, because
	// something outside this server (a private line, IPsec) secures them.
	ExternallySecured = ExchangeServers
)

var rightNames = [...]string{"submit", "accept-any-recipient", "accept-any-sender", "accept-authoritative-domain-sender",
	"bypass-anti-spam", "bypass-message-size-limit", "accept-routing-headers", "accept-organization-headers"}

// String lists the rights by name.
func (r Right) String() string {
	if r == 0 {
		return "none"
	}
	var names []string
	for i, name := range rightNames {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := r >> len(rightNames); rest != 0 {
		names = append(names, fmt.Sprintf("Right(%#x)", uint16(rest<<len(rightNames))))
	}
	return strings.Join(names, ",")
}

// A Grant gives rights to clients. What several grants give adds up.
type Grant struct {
	To     Clients
	Rights Right
}

// RightsOf are the rights that the session has now, by the [Relay] among the
// server's agents; they may grow with STARTTLS and AUTH. The first call after
// a change may ask the DNS.
func RightsOf(ctx context.Context, s *smtpserver.Session) Right {
	st, _ := s.Value(standingKey{}).(*standing)
	var r Right
	if st != nil {
		r, _ = st.get(ctx, s)
	}
	if x, ok := s.Value(extraKey{}).(extra); ok {
		if ip, _ := clientIP(s); ip == x.ip {
			r |= x.rights
		}
	}
	return r
}

// extra are rights that an agent has given to a session, for as long as it
// comes from the address.
type extra struct {
	ip     netip.Addr
	rights Right
}

type extraKey struct{}

func addRights(s *smtpserver.Session, ip netip.Addr, r Right) {
	if x, ok := s.Value(extraKey{}).(extra); ok && x.ip == ip {
		r |= x.rights
	}
	s.SetValue(extraKey{}, extra{ip, r})
}

// standing is what a session's rights are, kept until the client is somebody
// else. It belongs to the session's goroutine.
type standing struct {
	grants *grants

	known    bool
	ip       netip.Addr
	identity string
	tls      bool
	rights   Right
	err      error // rights may be missing because of it
}

type standingKey struct{}

// grants are a Relay's, prepared.
type grants struct {
	list     []grant
	resolver Resolver
}

type grant struct {
	to     *clients
	rights Right
}

func (g *grants) add(to *clients, rights Right) {
	g.list = append(g.list, grant{to: to, rights: rights})
}

// standingOf is the session's standing by g.
func (g *grants) standingOf(s *smtpserver.Session) *standing {
	st, _ := s.Value(standingKey{}).(*standing)
	if st == nil || st.grants != g {
		st = &standing{grants: g}
		s.SetValue(standingKey{}, st)
	}
	return st
}

// get works the rights out, unless they are known. The error says that there
// may be more of them.
func (st *standing) get(ctx context.Context, s *smtpserver.Session) (Right, error) {
	ip, _ := clientIP(s)
	if st.known && st.ip == ip && st.identity == s.Identity() && st.tls == (s.TLS() != nil) {
		return st.rights, st.err
	}
	c := client{ctx: ctx, s: s, ip: ip, resolver: st.grants.resolver}
	var rights Right
	var errs []error
	for _, g := range st.grants.list {
		if rights&g.rights == g.rights {
			continue
		}
		in, err := g.to.has(&c)
		if in {
			rights |= g.rights
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	st.known, st.ip, st.identity, st.tls = true, ip, s.Identity(), s.TLS() != nil
	st.rights, st.err = rights, errors.Join(errs...)
	return st.rights, st.err
}
