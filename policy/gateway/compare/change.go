package compare

import "time"

// A Kind is the kind of a Change.
type Kind string

const (
	Rerouted     Kind = "rerouted"     // another connector or next hop
	NowWaits     Kind = "waits"        // it would wait in the queue
	NowFails     Kind = "fails"        // it would fail, and be reported to the sender
	NowRefused   Kind = "refused"      // it would be refused
	MaybeRefused Kind = "maybeRefused" // it would be refused unless the client may relay, which the log does not show
	NowAccepted  Kind = "accepted"     // it was refused and would be accepted
	NowSent      Kind = "sent"         // it waits or fails with the settings in use, and would be sent
	NewRole      Kind = "role"         // the relay's role for the domain changes, and the route does not
)

// Kinds returns all kinds, the most serious first.
func Kinds() []Kind {
	return []Kind{NowRefused, MaybeRefused, NowFails, NowWaits, Rerouted, NowAccepted, NowSent, NewRole}
}

// Text returns the kind as text for people, for example "would be refused".
func (k Kind) Text() string {
	switch k {
	case Rerouted:
		return "would take another route"
	case NowWaits:
		return "would wait"
	case NowFails:
		return "would fail"
	case NowRefused:
		return "would be refused"
	case MaybeRefused:
		return "would be refused, unless the client may relay"
	case NowAccepted:
		return "would be accepted, and was refused"
	case NowSent:
		return "would be sent at once"
	case NewRole:
		return "the domain would have another role"
	}
	return string(k)
}

// kindOf returns the kind of the change between two decisions, or "" if there is
// none.
func kindOf(before, after Decision) Kind {
	refused := func(d Decision) bool { return d.Outcome == Refused || d.Outcome == Unsure }
	switch {
	case refused(before) && refused(after):
		return ""
	case after.Outcome == Refused:
		return NowRefused
	case after.Outcome == Unsure:
		return MaybeRefused
	case refused(before):
		return NowAccepted
	case after.Outcome != before.Outcome:
		return map[Outcome]Kind{Waits: NowWaits, Fails: NowFails, Sent: NowSent}[after.Outcome]
	case after.Connector != before.Connector || after.Destination != before.Destination:
		return Rerouted
	case after.Acceptance != before.Acceptance:
		return NewRole
	}
	return ""
}

// A Change is mail to one domain for which the two settings decide differently in
// the same way.
type Change struct {
	Kind   Kind     `json:"kind"`
	Before Decision `json:"before"`
	After  Decision `json:"after"`
	Count
	Examples []Example `json:"examples"` // at most [Examples]
}

// A Count counts mail. A message counts once for each recipient.
type Count struct {
	Recipients int64 `json:"recipients"`
	Bytes      int64 `json:"bytes"`
}

func (c *Count) add(bytes int64) {
	c.Recipients++
	c.Bytes += bytes
}

// An Example is a recipient of a message in the log.
type Example struct {
	Time      time.Time `json:"time"`
	ID        string    `json:"id,omitempty"` // of the message in the queue
	MessageID string    `json:"messageId,omitempty"`
	Sender    string    `json:"sender"`
	Recipient string    `json:"recipient"`
	Client    string    `json:"client,omitempty"`
	Connector string    `json:"connector,omitempty"` // the receive connector
}
