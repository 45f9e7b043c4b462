package queue

import (
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/counters"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A Histogram has the counts of values by size. Durations are in seconds.
//
//	type Histogram struct {
//		Bounds []float64 // upper bounds, inclusive, in ascending order
//		Counts []int64   // the values up to each bound and above the bound before it; the last: above all bounds
//		Sum    float64   // of all values
//		Count  int64     // the number of all values
//	}
type Histogram = counters.Snapshot

// Counters are totals of a Queue since its first use. The process counts them: they
// begin at zero after a restart. A map has all of its keys, also those that were not
// counted yet.
type Counters struct {
	// Enqueued is the number of messages that Submit has stored. The reports of
	// the Queue itself are in Reports.
	Enqueued int64
	// Attempts are the Deliver calls by result: "success" if all recipients of the
	// call were delivered, "partial" if some were, "failure" if all were refused
	// permanently, "unreachable" if the next hop could not be reached,
	// "canceled" by a shutdown, otherwise "deferred".
	Attempts map[string]int64
	// Recipients are the results of recipients: "delivered", "failed", "expired",
	// "removed" and "expanded" are final, "deferred" means that an attempt failed
	// and there will be another one. A recipient whose failure could not be
	// reported waits again, and its next failure is counted too.
	Recipients map[string]int64
	// DeliveryAge is the time from the receipt of the message (or from its Release,
	// if that is later) to the delivery of each recipient, by priority: "high"
	// above 0, "normal" is 0, "low" below 0.
	DeliveryAge map[string]Histogram
	// Reports are the delivery status notifications that were enqueued, by action:
	// "failed", "delayed", "relayed" (this includes "delivered"), "expanded";
	// "reduced" are reports that were sent again in a smaller form. "suppressed"
	// are failures that were not reported, because NOTIFY excludes it.
	Reports map[string]int64
	// BadMail are the messages that were kept as bad mail, Poison those that were
	// set aside as poison messages.
	BadMail, Poison int64
	// Throttled is how often mail had to wait, by reason: "refused", a next hop
	// refused further connections and the Queue reduced their number; "busy", a
	// host had no connection free (routing: the limits of a transport); "rate" and
	// "total rate", the rate of the next hop (HopLimits.Rate) or of the Queue
	// (Limits.Rate).
	Throttled map[string]int64
	// EventsDropped is the number of events that all subscriptions have dropped.
	EventsDropped int64
}

// Counters returns the present totals. It does not use the Store.
func (q *Queue) Counters() Counters {
	q.setup()
	n := &q.counts
	c := Counters{
		Enqueued: n.enqueued.Load(), BadMail: n.badMail.Load(), Poison: n.poison.Load(),
		Attempts: named(attemptNames[:], n.attempts[:]), Recipients: named(outcomeNames[:], n.outcomes[:]),
		Reports: named(reportNames[:], n.reports[:]), DeliveryAge: make(map[string]Histogram, len(n.age)),
		EventsDropped: q.events.dropped.Load(),
	}
	for i := range n.age {
		c.DeliveryAge[urgencies[i]] = n.age[i].Snapshot()
	}
	q.locked(func(core *sched.Scheduler) {
		rate, total := core.RateWaits()
		c.Throttled = map[string]int64{"refused": n.refused.Load(), "busy": n.busy.Load(), "rate": int64(rate), "total rate": int64(total)}
	})
	return c
}

// named returns the counters with their names, without those whose name is empty.
func named(names []string, counts []atomic.Int64) map[string]int64 {
	m := make(map[string]int64, len(names))
	for i, name := range names {
		if name != "" {
			m[name] = counts[i].Load()
		}
	}
	return m
}

// Results of a Deliver call.
const (
	attemptSuccess = iota
	attemptPartial
	attemptFailure
	attemptUnreachable
	attemptCanceled
	attemptDeferred
)

var (
	attemptNames = [...]string{"success", "partial", "failure", "unreachable", "canceled", "deferred"}
	outcomeNames = [...]string{Waiting: "deferred", Delivered: "delivered", Failed: "failed", Expired: "expired", Removed: "removed", Expanded: "expanded"}
	reportNames  = [...]string{"failed", "delayed", "relayed", "expanded", "reduced", "suppressed"}
	urgencies    = [...]string{"low", "normal", "high"}
)

const (
	reportReduced    = 4 // in reportNames
	reportSuppressed = 5
)

// counts are the counters of a Queue.
type counts struct {
	enqueued, badMail, poison atomic.Int64
	refused, busy             atomic.Int64 // see Counters.Throttled
	attempts                  [len(attemptNames)]atomic.Int64
	outcomes                  [len(outcomeNames)]atomic.Int64
	reports                   [len(reportNames)]atomic.Int64
	age                       [len(urgencies)]counters.Histogram
}

func (n *counts) init() {
	for i := range n.age {
		n.age[i].Scale = counters.Age
	}
}

// attempted counts a Deliver call.
func (n *counts) attempted(results []Result, canceled bool) {
	var success, failure, unreachable int
	for i := range results {
		switch results[i].Outcome {
		case Success:
			success++
		case Failure:
			failure++
		case Unreachable:
			unreachable++
		}
	}
	kind := attemptDeferred
	switch all := len(results); {
	case success == all:
		kind = attemptSuccess
	case success > 0:
		kind = attemptPartial
	case failure == all:
		kind = attemptFailure
	case canceled:
		kind = attemptCanceled
	case unreachable == all:
		kind = attemptUnreachable
	}
	n.attempts[kind].Add(1)
}

// recipient counts the result of a recipient of m.
func (n *counts) recipient(m *Message, s Status, wall time.Time) {
	n.outcomes[s].Add(1)
	if s == Delivered {
		n.age[urgency(m.Options.Priority)].Observe(int64(max(wall.Sub(m.from()), 0)))
	}
}

// stored counts a message that Submit has stored, and its expanded recipients.
func (n *counts) stored(m *Message) {
	if !m.System {
		n.enqueued.Add(1)
	}
	for _, r := range m.Recipients {
		if r.Status == Expanded {
			n.outcomes[Expanded].Add(1)
		}
	}
}

// reported counts a report.
func (n *counts) reported(a dsn.Action) {
	switch a {
	case dsn.Failed:
		n.reports[0].Add(1)
	case dsn.Delayed:
		n.reports[1].Add(1)
	case dsn.Relayed, dsn.Delivered:
		n.reports[2].Add(1)
	case dsn.Expanded:
		n.reports[3].Add(1)
	}
}

// urgency returns the index of a priority in urgencies.
func urgency(priority int) int {
	switch {
	case priority > 0:
		return 2
	case priority < 0:
		return 0
	}
	return 1
}
