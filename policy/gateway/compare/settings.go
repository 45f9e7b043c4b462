package compare

import (
	"cmp"
	"context"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

// An Outcome is what would happen to the mail for a recipient.
type Outcome = site.Outcome

const (
	Sent    = site.Sent             // it would be sent at once
	Waits   = site.Waits            // it would wait in the queue
	Fails   = site.Failed           // it would be accepted, and then fail
	Refused = Outcome("refused")    // it would be refused when the client sends it
	Unsure  = Outcome("mayRefused") // it would be refused, unless the client may relay, which is not known
)

// A Decision is what happens to the mail for a recipient, with one of the two
// settings.
type Decision struct {
	// Acceptance is why the mail is accepted: "authoritative", "internal relay" or
	// "external relay" if the domain is an accepted domain, "relayed" if the client
	// may relay, "submitted" if the message has not been received by a receive
	// connector with a policy.Gate. It is "not accepted" if the mail is refused.
	Acceptance string  `json:"acceptance"`
	Outcome    Outcome `json:"outcome"`
	// Connector and Destination are the next hop, or empty.
	Connector   string `json:"connector,omitempty"`
	Destination string `json:"destination,omitempty"`
	// Reason is why the mail waits, fails or is refused.
	Reason string `json:"reason,omitempty"`
}

// String returns the decision as text.
func (d Decision) String() string {
	text := string(d.Outcome)
	switch d.Outcome {
	case Unsure:
		text = "refused, unless the client may relay"
	case Fails:
		text = "fails"
	}
	if d.Connector != "" {
		text += " via " + d.Connector
		if d.Destination != "" && d.Destination != d.Connector {
			text += " to " + d.Destination
		}
	}
	if d.Reason != "" {
		text += " (" + d.Reason + ")"
	}
	return text
}

// Values of Decision.Acceptance other than the kinds of accepted domains.
const (
	relayed     = "relayed"
	submitted   = "submitted"
	notAccepted = "not accepted"
)

// relayDenied is the reply to a client that may not relay (policy.Relay).
const relayDenied = "550 5.7.1 Unable to relay"

// settings are the settings in use, or those of the candidate.
type settings struct {
	plan  site.RoutePlan
	gates map[string]*gate // by the name of the receive connector
}

// A gate has what a receive connector accepts.
type gate struct {
	domains *policy.Domains
	relay   *policy.RecordedRelay
}

// gatesOf returns the gates of receive connectors. If changed is not nil, it
// replaces the accepted domains of those that have some.
func gatesOf(connectors []gateway.ReceiveConnector, changed []policy.Domain) (map[string]*gate, error) {
	gates := make(map[string]*gate)
	for _, c := range connectors {
		if c.Gate == nil || gates[c.Name] != nil {
			continue
		}
		list := c.Gate.Domains
		if changed != nil && len(list) > 0 {
			list = changed
		}
		domains, err := policy.NewDomains(list...)
		if err != nil {
			return nil, err
		}
		gates[c.Name] = &gate{domains, c.Gate.RecordedRelay()}
	}
	return gates, nil
}

// A right says whether a client may relay.
type right int

const (
	mayNot right = iota
	notKnown
	may
)

// right returns whether the client of a message may relay, by its address and
// whether it was authenticated. relayed means that the message has a recipient
// outside of the accepted domains.
func (g *gate) right(m *mail, relayed bool) right {
	ip, _ := netip.ParseAddr(m.Client)
	is, known := g.relay.MayRelay(ip, m.authenticated)
	switch {
	case is:
		return may
	case relayed && !known:
		return may
	case relayed, !known: // relayed: its rights have changed since
		return notKnown
	}
	return mayNot
}

// decide returns the decision for one recipient of a message. has is whether the
// client may relay.
func (s *settings) decide(ctx context.Context, m *mail, domain string, has right) Decision {
	d := Decision{Acceptance: submitted}
	if g := s.gates[m.Connector]; g != nil && !m.System {
		accepted := g.domains.Lookup(domain)
		switch {
		case accepted != nil:
			d.Acceptance = accepted.Kind.String()
		case has == may:
			d.Acceptance = relayed
		case has == mayNot:
			return Decision{Acceptance: notAccepted, Outcome: Refused, Reason: relayDenied}
		default:
			return Decision{Acceptance: notAccepted, Outcome: Unsure, Reason: relayDenied}
		}
	}
	route := s.plan.PlanRoute(ctx, m.Mail)
	d.Outcome, d.Connector, d.Destination, d.Reason = cmp.Or(route.Outcome, Sent), route.Connector, route.Destination, route.Reason
	return d
}
