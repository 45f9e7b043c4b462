package queue

import "github.com/bridgehead-mail/bridgehead/queue/internal/sched"

// A State is what a Queue does at present.
type State struct {
	// Running means that Run runs, and Shutdown was not called.
	Running bool
	// Ended means that Shutdown was called or Run has ended.
	Ended bool
	// Frozen means that Submit refuses all mail: see [Queue.Freeze]. Draining
	// means that [Queue.Drain] waits until the store is empty.
	Frozen, Draining bool
	// Paused means that no delivery begins: see [Queue.Pause].
	Paused bool
	// Drained means that this node of a [Cluster] drains: no delivery begins, and
	// the other nodes deliver the mail that it accepts.
	Drained bool
	// Recording is false while the Store cannot record the results of
	// deliveries. No delivery begins then. The Queue tries again until it can.
	Recording bool
	// Active is the number of active messages, Memory the size of their content
	// in memory, and Deliveries the number of Deliver calls in progress. Limits
	// has their maxima.
	Active     int
	Memory     int64
	Deliveries int
	Limits     Limits
	// Limit is the limit because of which all mail waits, or most of it.
	Limit Limit
}

// State returns the present state of the Queue. It does not use the Store.
func (q *Queue) State() State {
	q.setup()
	st := State{Ended: q.down.Load(), Frozen: q.frozen.Load(), Draining: q.draining.Load() > 0}
	q.locked(func(core *sched.Scheduler) {
		use := core.Usage()
		st.Active, st.Memory, st.Deliveries = use.Active, use.Memory, use.Deliveries
		st.Limit.Kind = limitKinds[core.Limit(q.clock.now())]
		st.Running, st.Paused, st.Recording = core.Running(), core.Paused(), !core.Broken()
		st.Drained = core.Drained()
	})
	st.Limits, st.Limit.Text = q.limits, q.limitText(st.Limit.Kind, nil, HopLimits{})
	return st
}
