package site

import (
	"context"
	"time"
)

// Routing is a queue.Deliverer that describes its send connectors and explains
// its decisions. routing.Router implements it. The methods are safe for
// concurrent use.
type Routing interface {
	// SendConnectors returns the connectors in the order of the settings.
	SendConnectors() []SendConnector
	// ExplainRoute returns the routing decision for a hypothetical message to
	// one recipient, and why. With Question.Hosts it queries the DNS, with
	// Question.Probe it opens sessions; it returns when ctx ends.
	ExplainRoute(ctx context.Context, q Question) *Explanation
	// PlanRoutes returns the decisions of a table that is not in use, or of the
	// table in use if t is nil.
	PlanRoutes(t RoutingTable) (RoutePlan, error)
}

// A Question describes a hypothetical message to one recipient.
type Question struct {
	From     string `json:"from"` // the reverse-path; empty or "<>" is the null reverse-path
	To       string `json:"to"`
	Size     int64  `json:"size,omitempty"` // in bytes
	Priority int    `json:"priority,omitempty"`
	System   bool   `json:"system,omitempty"` // a message of the queue itself, for example a report
	// Connector, Client and Identity are the origin of the message: the receive
	// connector, the address of the client, and its authenticated identity.
	Connector string            `json:"connector,omitempty"`
	Client    string            `json:"client,omitempty"`
	Identity  string            `json:"identity,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Hosts looks up the hosts in the DNS. Probe also opens a session with each
	// of their addresses, without sending mail.
	Hosts bool `json:"hosts,omitempty"`
	Probe bool `json:"probe,omitempty"`
}

// An Outcome is what would happen to a message.
type Outcome string

const (
	Sent   Outcome = "sent"   // it would be sent at once
	Waits  Outcome = "waits"  // it would wait in the queue
	Failed Outcome = "failed" // it would fail, and be reported to the sender
)

// An Explanation is the routing decision for a Question, for people and
// programs.
type Explanation struct {
	Question Question `json:"question"`
	// Summary explains the decision in sentences.
	Summary []string `json:"summary"`
	Outcome Outcome  `json:"outcome"`
	// Connector and Destination are the next hop. They are empty if there is
	// none; Reply is then the reason, as an SMTP reply.
	Connector   string `json:"connector,omitempty"`
	Destination string `json:"destination,omitempty"`
	Reply       string `json:"reply,omitempty"`
	// Until is until when the message would wait, if that is known.
	Until time.Time `json:"until,omitzero"`
	// Candidates are all connectors, in the order of use. Those that do not
	// match come last.
	Candidates []RouteCandidate `json:"candidates"`
	// TLS is the TLS level for the hosts; published policies can raise it.
	TLS string `json:"tls,omitempty"`
	// Hosts are the hosts in the order in which an attempt tries them, followed
	// by those that cannot be used. HostsProblem is why there are none.
	Hosts        []RouteHost `json:"hosts,omitempty"`
	HostsProblem string      `json:"hostsProblem,omitempty"`
	Probes       []HostProbe `json:"probes,omitempty"`
	ProbeProblem string      `json:"probeProblem,omitempty"`
}

// A RouteCandidate is a send connector in an Explanation.
type RouteCandidate struct {
	Connector string `json:"connector"`
	Space     string `json:"space,omitempty"` // the address space that matches
	Cost      int    `json:"cost,omitempty"`
	Chosen    bool   `json:"chosen"`
	Reason    string `json:"reason"` // why it was chosen or not
}

// A RouteHost is a host of the next hop.
type RouteHost struct {
	Name       string   `json:"name"`
	Addrs      []string `json:"addrs,omitempty"` // addresses with ports, or the path of a socket
	Preference int      `json:"preference"`
	DANE       string   `json:"dane,omitempty"`
	Problem    string   `json:"problem,omitempty"` // why it cannot be used
}

// A HostProbe is the result of a test of one address.
type HostProbe struct {
	Host       string   `json:"host"`
	Addr       string   `json:"addr"`
	Greeting   string   `json:"greeting,omitempty"`
	Extensions []string `json:"extensions,omitempty"`
	TLS        string   `json:"tls,omitempty"` // version and cipher suite; empty for plain text
	Policy     string   `json:"policy"`        // the TLS policy that applies
	Problem    string   `json:"problem,omitempty"`
}
