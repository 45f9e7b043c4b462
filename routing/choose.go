package routing

import (
	"fmt"
	"net/netip"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A Loss is why a connector whose address space fits does not take a message.
type Loss uint8

const (
	Eligible      Loss = iota // it may take it
	Disabled                  // it is out of use
	OutOfScope                // the message's origin or sender is outside its scope
	TooSmall                  // the message is larger than MaxMessageSize
	SenderBarred              // RefuseSenders has the sender, or AcceptSenders has not
	WrongPriority             // Priorities leaves the message's out
	WrongKind                 // System: only system messages, or none
	Excluded                  // a more specific connector is Exclusive
	LeadsBack                 // the domain is ours, and this the way of the world
)

var lossText = [...]string{
	Eligible:      "eligible",
	Disabled:      "disabled",
	OutOfScope:    "out of scope",
	TooSmall:      "the message is too large for it",
	SenderBarred:  "its restrictions bar the sender",
	WrongPriority: "not for this priority",
	WrongKind:     "not for this kind of message (system or not)",
	Excluded:      "a more specific connector is exclusive",
	LeadsBack:     "the domain is ours: out by it is back in",
}

func (l Loss) String() string {
	if int(l) < len(lossText) {
		return lossText[l]
	}
	return fmt.Sprintf("Loss(%d)", uint8(l))
}

// admits says whether a connector may take a message, and if not why.
func (c *connector) admits(m *queue.Message) Loss {
	if c.Disabled {
		return Disabled
	}
	return c.suits(m)
}

// suits says so of a connector that is in use, or will be again.
func (c *connector) suits(m *queue.Message) Loss {
	switch {
	case !c.inScope(m):
		return OutOfScope
	case c.MaxMessageSize > 0 && sizeOf(m) > c.MaxMessageSize:
		return TooSmall
	case c.refuse != nil && c.refuse.has(m.From), c.accept != nil && !c.accept.has(m.From):
		return SenderBarred
	case c.Priorities != 0 && c.Priorities&priorityOf(m) == 0:
		return WrongPriority
	case c.System == SystemOnly && !m.System, c.System == SystemNever && m.System:
		return WrongKind
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
	if len(c.identities) > 0 && !c.identities[m.Origin.Identity] {
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

func priorityOf(m *queue.Message) Priorities {
	switch {
	case m.Priority > 0:
		return HighPriority
	case m.Priority < 0:
		return LowPriority
	}
	return NormalPriority
}

// ways yields the connectors that may take a message to a domain, in the
// order in which they serve: the chosen one, its fallbacks, and then likewise
// the next that matches, each with the address space that it serves by. It
// returns the reason why the connectors that it passed over do not count, the
// one that tells a sender most; Disabled, where one would have taken it.
func (t *Table) ways(m *queue.Message, domain string, yield func(candidate) bool) Loss {
	worst, waits := Eligible, false
	var near *space // of the first connector that the mail sees
	var last *space // of an exclusive connector
	t.matches(domain, func(match candidate) bool {
		if last != nil && rank(match.space) < rank(last) {
			return false
		}
		loss := match.c.admits(m)
		if match.c.excludes(m) {
			last = match.space
		}
		first := near == nil && match.c.inScope(m)
		if first {
			near = match.space
		}
		if loss != Eligible {
			waits = waits || loss == Disabled && match.c.suits(m) == Eligible
			if worst == Eligible || loss == TooSmall || loss > TooSmall && worst != TooSmall {
				worst = loss
			}
			return true
		}
		for c := match.c; c != nil && c.admits(m) == Eligible; c = t.byName[c.Fallback] {
			way := candidate{c, match.space}
			if (!first || c != match.c) && t.leadsBack(way, near, domain) {
				continue
			}
			if !yield(way) {
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

// leadsBack says of a way that is not the nearest one whether it is none for a
// domain of ours: that of the rest of the world ("*"), or of the DNS, leads
// back here, if perhaps through somebody else's filter.
func (t *Table) leadsBack(way candidate, near *space, domain string) bool {
	abroad := way.c.perDomain() || way.space.all && !near.all
	return abroad && t.domains.has(domain)
}

// excludes says whether less specific connectors are not to serve in this
// one's place. Mail out of its scope does not see it.
func (c *connector) excludes(m *queue.Message) bool { return c.Exclusive && c.inScope(m) }

// noWay is the error of a message that no connector takes. Exchange's rule:
// where one would have been large enough, or it is a matter of restrictions,
// the sender is told; where none matches, the mail waits for one.
func noWay(domain string, loss Loss) *smtp.SMTPError {
	switch {
	case loss == TooSmall:
		return &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4},
			Message: "Message is too large for every way to " + domain}
	case loss > TooSmall:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1},
			Message: "No way to " + domain + " for this message: " + loss.String()}
	case loss == Eligible:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 4},
			Message: "No connector for " + domain}
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 4},
		Message: "No connector for " + domain + " now: " + loss.String()}
}
