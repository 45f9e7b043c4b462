package queue

import (
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A LimitKind is why mail waits.
type LimitKind uint8

const (
	LimitNone             LimitKind = iota // nothing: mail waits only for its turn
	LimitStopped                           // Run does not run
	LimitStore                             // the Store cannot record
	LimitPaused                            // Queue.Pause
	LimitSuspended                         // the next hop is suspended
	LimitSchedule                          // Pace.Held: outside its schedule, or waits for a request
	LimitRetry                             // the next hop could not be reached, or each message waits for its retry
	LimitProbe                             // one message probes whether the next hop can be reached again
	LimitAlone                             // a message that may have crashed the process is tried alone: Limits.Interrupted
	LimitConcurrency                       // HopLimits.Concurrency, or what the next hop accepts at present
	LimitPacerConcurrency                  // Pace.MaxConcurrency
	LimitRate                              // HopLimits.Rate
	LimitHost                              // the host has no connection free, or other next hops use it
	LimitDeliveries                        // Limits.Deliveries
	LimitTotalRate                         // Limits.Rate
	LimitUnresponsive                      // the part of Limits.Deliveries for hosts that do not answer
	LimitActive                            // Limits.Active, or the share of it of the connector or of the next hop
	LimitDrained                           // the node drains: the other nodes deliver (Cluster.Drain)
)

var limitNames = [...]string{"none", "stopped", "store", "paused", "suspended", "schedule", "retry", "probe", "alone", "concurrency",
	"pacer concurrency", "rate", "host", "deliveries", "total rate", "unresponsive hosts", "active", "drained"}

// String returns a short name, for example "concurrency" or "total rate". The
// names do not change.
func (k LimitKind) String() string {
	if int(k) < len(limitNames) {
		return limitNames[k]
	}
	return ""
}

// A Limit is the limit because of which mail waits now.
type Limit struct {
	Kind LimitKind
	// Text describes the limit in English, with its value. It is empty for
	// LimitNone.
	Text string
	// Until is when the limit ends, by the wall clock, if that is known.
	Until time.Time
}

// limitKinds are the limits of the scheduler.
var limitKinds = [...]LimitKind{sched.NoLimit: LimitNone, sched.NotRunning: LimitStopped, sched.StoreBroken: LimitStore,
	sched.IsPaused: LimitPaused, sched.IsDrained: LimitDrained, sched.IsSuspended: LimitSuspended, sched.IsClosed: LimitSchedule, sched.RetryWait: LimitRetry,
	sched.Probing: LimitProbe, sched.Alone: LimitAlone, sched.Concurrency: LimitConcurrency, sched.PaceConcurrency: LimitPacerConcurrency,
	sched.HopRate: LimitRate, sched.HostConnections: LimitHost, sched.Deliveries: LimitDeliveries, sched.TotalRate: LimitTotalRate,
	sched.SilentShare: LimitUnresponsive, sched.ActiveShare: LimitActive}

// A hopLimit is what limit needs to know about a hop.
type hopLimit struct {
	kind LimitKind // by the scheduler
	hop  HopLimits
	due  time.Time // when the next stored message is due, by the steady clock
}

// limit sets i.Limit. It also sets i.Status of a suspended hop.
func (q *Queue) limit(i *QueueInfo, l hopLimit) {
	kind, waiting := l.kind, i.Stored > 0 || i.InMemory > 0
	if i.Suspension != nil {
		i.Status = QueueSuspended
		if kind == LimitNone {
			kind = LimitSuspended
		}
	}
	switch {
	case i.Status == QueueAside || !waiting && kind != LimitSuspended && kind != LimitSchedule && kind != LimitRetry:
		i.Limit = Limit{}
		return
	case kind == LimitNone && i.InMemory == 0 && l.due.After(q.clock.now()):
		kind = LimitRetry
		i.NextRetry = q.clock.wallOf(l.due)
	}
	i.Limit = Limit{Kind: kind, Text: q.limitText(kind, i, l.hop)}
	switch kind {
	case LimitSuspended:
		i.Limit.Until = i.Suspension.Until
	case LimitSchedule, LimitRetry:
		i.Limit.Until = i.NextRetry
	}
}

// limitText describes a limit. i is nil for a limit of the whole Queue.
func (q *Queue) limitText(kind LimitKind, i *QueueInfo, limits HopLimits) string {
	switch kind {
	case LimitStopped:
		return "The queue is not running"
	case LimitStore:
		return "The store cannot record deliveries"
	case LimitPaused:
		return "Deliveries are paused"
	case LimitDrained:
		return "This node drains: the other nodes deliver"
	case LimitSuspended:
		return "Suspended: " + i.Suspension.describe()
	case LimitSchedule:
		return "Outside the schedule, or waits for a request"
	case LimitRetry:
		if i.Status == QueueRetry {
			return "The next hop could not be reached"
		}
		return "All messages wait for their next attempt"
	case LimitProbe:
		return "One message probes the next hop"
	case LimitAlone:
		return "A message that may have crashed the process is delivered alone"
	case LimitConcurrency:
		return fmt.Sprintf("%d deliveries to this next hop at a time (HopLimits.Concurrency is %d)", i.Concurrency, limits.Concurrency)
	case LimitPacerConcurrency:
		return fmt.Sprintf("%d deliveries to this next hop at a time, by its connector", i.MaxConcurrency)
	case LimitRate:
		return fmt.Sprintf("%g deliveries to this next hop per second (HopLimits.Rate)", limits.Rate)
	case LimitHost:
		return "The host has no connection free, or other next hops use its connections"
	case LimitDeliveries:
		return fmt.Sprintf("%d deliveries at a time in all (Limits.Deliveries)", q.limits.Deliveries)
	case LimitTotalRate:
		return fmt.Sprintf("%g deliveries per second in all (Limits.Rate)", q.limits.Rate)
	case LimitUnresponsive:
		return fmt.Sprintf("The deliveries for hosts that do not answer are in use (half of Limits.Deliveries, %d)", q.limits.Deliveries)
	case LimitActive:
		return fmt.Sprintf("%d messages in memory in all, shared by the connectors (Limits.Active)", q.limits.Active)
	}
	return ""
}

// describe returns who suspended something, why and until when.
func (s *Suspension) describe() string {
	text := s.String()
	if s.By != "" {
		text += " by " + s.By
	}
	if !s.Until.IsZero() {
		text += " until " + s.Until.Format(time.RFC3339)
	}
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}
