package site

import (
	"context"
	"time"
)

// A RoutingTable is a set of send connectors that is not in use. *routing.Table
// implements it.
type RoutingTable interface {
	// Connectors returns the names of the connectors.
	Connectors() []string
}

// A RoutePlan decides where mail would go, without the DNS and without the
// network. It may remember decisions; the memory for them has a bound. It is
// not safe for concurrent use.
type RoutePlan interface {
	// PlanRoute returns the decision for a message to one recipient.
	PlanRoute(ctx context.Context, m Mail) PlannedRoute
	// Unknown returns what the plan depends on that a message tracking log does
	// not have, in sentences.
	Unknown() []string
}

// Mail is a message to one recipient that a RoutePlan decides about.
type Mail struct {
	Question
	// Time is when the message was received: schedules are those of this time.
	Time time.Time
}

// A PlannedRoute is the decision of a RoutePlan. It is comparable.
type PlannedRoute struct {
	Outcome Outcome `json:"outcome"`
	// Connector and Destination are the next hop, or empty.
	Connector   string `json:"connector,omitempty"`
	Destination string `json:"destination,omitempty"`
	// Reason is why the message would wait or fail.
	Reason string `json:"reason,omitempty"`
}
