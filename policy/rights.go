package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Right is a set of rights of a session. The rights have the names that
// Exchange uses, without the prefix ms-Exch-SMTP-.
type Right uint16

const (
	// Submit allows sending mail. Without this right, MAIL is refused.
	Submit Right = 1 << iota
	// AcceptAnyRecipient allows relaying to recipients outside the accepted
	// domains.
	AcceptAnyRecipient
	// AcceptAnySender allows senders that do not belong to the identity; see
	// [SendAs].
	AcceptAnySender
	// AcceptAuthoritativeDomainSender allows senders in the accepted domains;
	// see [Spoofing].
	AcceptAuthoritativeDomainSender
	// BypassAntiSpam skips the agents that check unknown clients for spam.
	BypassAntiSpam
	// BypassMessageSizeLimit removes the size limit of the server.
	BypassMessageSizeLimit
	// AcceptRoutingHeaders keeps Received and Resent-* fields. Header
	// firewalls use it.
	AcceptRoutingHeaders
	// AcceptOrganizationHeaders keeps the organization's own header fields.
	// Header firewalls use it.
	AcceptOrganizationHeaders
)

// Exchange's permission groups.
const (
	AnonymousUsers  = Submit | AcceptAnySender | AcceptAuthoritativeDomainSender | AcceptRoutingHeaders
	ExchangeUsers   = Submit | AcceptAnyRecipient | BypassAntiSpam | AcceptRoutingHeaders
	Partners        = Submit | AcceptRoutingHeaders
	ExchangeServers = AnonymousUsers | ExchangeUsers | BypassMessageSizeLimit | AcceptOrganizationHeaders
	// ExternallySecured is for hosts that are trusted like the organization's
	// servers, because the connection is secured by other means, such as a
	// private line or IPsec.
	ExternallySecured = ExchangeServers
)

var rightNames = [...]string{"submit", "accept-any-recipient", "accept-any-sender", "accept-authoritative-domain-sender",
	"bypass-anti-spam", "bypass-message-size-limit", "accept-routing-headers", "accept-organization-headers"}

// String returns the names of the rights, separated by commas, or "none".
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

// A Grant gives rights to clients. The rights of several grants add up.
type Grant struct {
	To     Clients
	Rights Right
}

// RightsOf returns the current rights of the session, from the [Relay] among
// the agents of the server. A session can get more rights after STARTTLS and
// AUTH. The first call after such a change may use the DNS.
func RightsOf(ctx context.Context, s *smtpserver.Session) Right {
	st, _ := s.Value(sessionRightsKey{}).(*sessionRights)
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

// extra are rights that an agent gave to a session. They are valid while the
// client has the address.
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

// sessionRights are the cached rights of a session. They are computed again
// when the address, identity or TLS state changes. Only the goroutine of the
// session uses them.
type sessionRights struct {
	grants *grants

	known    bool
	ip       netip.Addr
	identity string
	tls      bool
	rights   Right
	err      error // after an error, rights may be missing
}

type sessionRightsKey struct{}

// grants is the prepared form of the grants of a Relay.
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

// of returns the rights of the session under g.
func (g *grants) of(s *smtpserver.Session) *sessionRights {
	st, _ := s.Value(sessionRightsKey{}).(*sessionRights)
	if st == nil || st.grants != g {
		st = &sessionRights{grants: g}
		s.SetValue(sessionRightsKey{}, st)
	}
	return st
}

// get returns the rights, and computes them if necessary. After an error there
// may be more rights.
func (st *sessionRights) get(ctx context.Context, s *smtpserver.Session) (Right, error) {
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
	if log := site.Debug(s.Server().Logger, site.PartPolicy); log != nil {
		attrs := []any{slog.String("session", s.ID()), slog.String("client", s.RemoteAddr().String()), slog.String("identity", st.identity),
			slog.Bool("tls", st.tls), slog.String("rights", rights.String())}
		if st.err != nil {
			attrs = append(attrs, slog.String("error", st.err.Error()))
		}
		log.Debug("rights", attrs...)
	}
	return st.rights, st.err
}
