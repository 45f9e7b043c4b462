package sched

import "time"

// A Decision is what the driver must do after an event.
type Decision struct {
	Kind  Kind
	Probe bool // for Deliver: the hop was unreachable the last time
	Hurry bool // for Deliver: slots are scarce, so the attempt must give up sooner
	Msg   *Message
	Part  *Part
}

// A Kind is the kind of a Decision.
type Kind uint8

const (
	None Kind = iota

	// Any event may cause these.
	StartWorker // start a worker, which calls Ready
	Wake        // wake the loop, which calls Due
	Return      // put Part and those after it back to the store; then Returned, PutBack
	Record      // record Msg; then Recording, Recorded
	Share       // ask soon for a part of the limits that all nodes share; then Demands

	// Ready returns these, a worker's jobs.
	Route   // find the next hops of Msg's recipients; then Way, Queue, Routed
	Deliver // deliver Part; then Attempted or TurnedBack
)

// A Task is what the driver's loop must do next: see Due.
type Task struct {
	Kind  TaskKind
	Scope Scope // for Recheck
	Hop   *Hop
	Claim *Query
	Msgs  []*Message
	At    time.Time
}

// A TaskKind is the kind of a Task.
type TaskKind uint8

const (
	NoTask         TaskKind = iota
	Claim                   // claim messages; then Arrived for each, and Claimed
	Ask                     // ask the Pacer how Hop is to be served; then Paced
	Renew                   // renew the leases of Msgs until At; then Renewed
	Mend                    // try whether the store can record again; then Mended
	Clear                   // remove old mail that was set aside
	Recheck                 // look again at the waiting mail of Scope; then Rechecked
	EndSuspensions          // resume what was suspended until now; then SuspensionsEnd
	Sleep                   // wait until At or a Wake
	Stop                    // end
)

// A Query selects the messages to claim. Without ID and Only, it selects those
// whose hop is not Held.
type Query struct {
	Max         int       // how many at most; their places are reserved
	Now         time.Time // only messages that are due by then
	Until       time.Time // end of the leases
	ID          string    // only this message
	Only        *Hop      // only messages that wait for this hop
	Probe       bool      // the message will probe the hop
	Sweep       bool      // the messages may have expired
	LeastUrgent bool      // the least urgent first
}

// A Scope selects the waiting mail to look at again.
type Scope uint8

const (
	ScopeNone    Scope = iota
	ScopeRestart       // mail that waits because of the relay's own settings
	ScopeAll           // also mail that a host refused by a rule
)
