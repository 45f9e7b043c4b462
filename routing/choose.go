package routing

import (
	"fmt"
	"net/netip"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Eligibility is the reason why a connector with a matching address space can
// or cannot take a message.
type Eligibility uint8

const (
	Eligible       Eligibility = iota // the connector can take the message
	Disabled                          // the connector is disabled
	OutOfScope                        // the origin or sender of the message is not in Connector.Scope
	TooLarge                          // the message is larger than MaxMessageSize
	SenderRefused                     // the sender is in RefuseSenders, or not in AcceptSenders
	WrongPriority                     // the priority of the message is not in Priorities
	SystemMismatch                    // Connector.SystemMessages excludes the message
	Excluded                          // a connector with a more specific address space is Exclusive
	WouldLoop                         // the mail would come back to this relay (Site.Domains)
)

var eligibilityText = [...]string{
	Eligible:       "eligible",
	Disabled:       "disabled",
	OutOfScope:     "out of scope",
	TooLarge:       "message too large",
	SenderRefused:  "sender not allowed",
	WrongPriority:  "message priority not allowed",
	SystemMismatch: "excluded by its SystemMessages setting",
	Excluded:       "a more specific connector is exclusive",
	WouldLoop:      "mail loop: the domain is one of Site.Domains",
}

func (l Eligibility) String() string {
	if int(l) < len(eligibilityText) {
		return eligibilityText[l]
	}
	return fmt.Sprintf("Loss(%d)", uint8(l))
}

// eligibility reports whether a connector can take a message, and if not, why.
func (c *connector) eligibility(m *queue.Message) Eligibility {
	if c.Disabled {
		return Disabled
	}
	return c.suitability(m)
}

// suitability is eligibility without regard to Disabled.
func (c *connector) suitability(m *queue.Message) Eligibility {
	switch {
	case !c.inScope(m):
		return OutOfScope
	case c.MaxMessageSize > 0 && sizeOf(m) > c.MaxMessageSize:
		return TooLarge
	case c.refuse != nil && c.refuse.has(m.From), c.accept != nil && !c.accept.has(m.From):
		return SenderRefused
	case c.Priorities != 0 && c.Priorities&c.priorityOf(m) == 0:
		return WrongPriority
	case c.SystemMessages == SystemOnly && !m.System, c.SystemMessages == SystemNever && m.System:
		return SystemMismatch
	}
	return Eligible
}

func (c *connector) inScope(m *queue.Message) bool {
	if c.scope != nil && !c.scope.has(m.From) {
		return false
	}
	if len(c.receivers) > 0 && !c.receivers[m.Origin.Connector] {
		return false
	}
	if len(c.identities) > 0 && !c.identities[addr.FoldLocal(m.Origin.Identity)] {
		return false
	}
	if len(c.Scope.Networks) == 0 {
		return true
	}
	client, err := netip.ParseAddr(m.Origin.ClientAddr)
	if err != nil {
		return false
	}
	client = client.Unmap().WithZone("")
	for _, p := range c.Scope.Networks {
		if p.Contains(client) {
			return true
		}
	}
	return false
}

func sizeOf(m *queue.Message) int64 {
	if m.Content == nil {
		return 0
	}
	return m.Content.Size()
}

// priorityOf returns the priority of a message for the connector.
func (c *connector) priorityOf(m *queue.Message) Priorities {
	if c.HeaderPriority && m.Options.Priority == 0 {
		return headerPriority(m)
	}
	return priorityOf(m)
}

func priorityOf(m *queue.Message) Priorities {
	switch {
	case m.Options.Priority > 0:
		return HighPriority
	case m.Options.Priority < 0:
		return LowPriority
	}
	return NormalPriority
}

// routes yields the connectors that can take a message to a domain, in the
// order of use: the chosen connector, its fallbacks, then the next connector
// that matches and its fallbacks, and so on. Each comes with the address space
// that matched. routes returns the most informative reason why other
// connectors that match are not eligible. It returns Disabled if a disabled
// connector would have been eligible.
func (t *Table) routes(m *queue.Message, domain string, yield func(candidate) bool) Eligibility {
	worst, waits := Eligible, false
	var near *space // of the most specific connector in scope
	var last *space // of an exclusive connector
	t.matches(domain, func(match candidate) bool {
		if last != nil && rank(match.space) < rank(last) {
			return false
		}
		reason := match.c.eligibility(m)
		if match.c.excludes(m) {
			last = match.space
		}
		first := near == nil && match.c.inScope(m)
		if first {
			near = match.space
		}
		if reason != Eligible {
			waits = waits || reason == Disabled && match.c.suitability(m) == Eligible
			worst = moreInformative(worst, reason)
			return true
		}
		for c := match.c; c != nil && c.eligibility(m) == Eligible; c = t.byName[c.Fallback] {
			route := candidate{c, match.space}
			if (!first || c != match.c) && t.wouldLoop(route, near, domain) {
				continue
			}
			if !yield(route) {
				return false
			}
		}
		return true
	})
	if waits {
		return Disabled
	}
	return worst
}

// moreInformative returns which of two reasons the sender needs to know. TooLarge
// goes first, then the restrictions.
func moreInformative(known, reason Eligibility) Eligibility {
	if known == Eligible || reason == TooLarge || reason > TooLarge && known != TooLarge {
		return reason
	}
	return known
}

// wouldLoop reports whether a route other than the nearest one would bring
// mail for one of Site.Domains back to this relay. This is so for the address
// space "*" and for delivery by DNS, perhaps through the filter of a provider.
func (t *Table) wouldLoop(route candidate, near *space, domain string) bool {
	outside := route.c.perDomain() || route.space.all && !near.all
	return outside && t.domains.has(domain)
}

// excludes reports whether less specific connectors must not be used instead
// of this one. It does not apply to mail out of the connector's scope.
func (c *connector) excludes(m *queue.Message) bool { return c.Exclusive && c.inScope(m) }

// noConnector returns the error for a message that no connector takes. As in
// Exchange, the recipient fails immediately if the message is too large or the
// restrictions exclude it. If no connector matches, the mail waits.
func noConnector(domain string, reason Eligibility) *smtp.SMTPError {
	switch {
	case reason == TooLarge:
		return &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4},
			Message: "Message is too large for every connector to " + domain}
	case reason > TooLarge:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1},
			Message: "No connector to " + domain + " for this message: " + reason.String()}
	case reason == Eligible:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 4},
			Message: "No connector for " + domain}
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 4},
		Message: "No connector for " + domain + " now: " + reason.String()}
}
