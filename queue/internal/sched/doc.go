// Package sched is the core of the queue's scheduler: a state machine of plain
// data and functions. It has no store, clock, goroutine, lock or context. The
// driver around it (queue.Queue) has them.
//
//	            events, time                     decisions
//	driver ───────────────────▶  Scheduler  ───────────────────▶  driver
//	(store, deliverer, clock)                            (claims, delivers,
//	                                                      records, sleeps)
//
// The driver calls a method of the [Scheduler] for each event, and carries out
// the decisions that result. The same events at the same times give the same
// decisions.
//
// # How it works
//
// A [Message] is active from its claim until its last record is written. First
// it is routed: each group of recipients with the same next hop becomes a [Part],
// which waits in the queue of its [Hop]. Hops take turns for the delivery slots.
// When the last part of a message has ended, the message is recorded and is not
// active any more.
//
// A hop that cannot be reached is dead. Its parts go back to the store. Its mail
// is not claimed until one message, the probe, has reached the host. An operator
// or a Pacer can also close a hop.
//
// Slots and memory are shared fairly. Connectors share the slots max-min.
// Attempts at hosts that have not answered get half of the slots at most. Hops
// with the same host count as one.
//
// # Where to start reading
//
//   - event.go, decision.go: the events, and the decisions that they cause.
//     Start here.
//   - scheduler.go: the state, and which workers run.
//   - message.go, hop.go: the state of a message and of a hop.
//   - turn.go, trial.go, connector.go, host.go: which hop gets the next slot.
//   - shared.go: the limits of a hop that apply to all nodes together.
//   - suspend.go: hops and domains that operators have suspended.
//   - room.go: which connector gets the memory.
//   - attempt.go: the consequences of an attempt for its hop.
//   - due.go: what the driver's loop must do, and when.
//   - claim.go, lease.go: claims and leases.
//   - suspect.go, alone.go: messages that were active when the process died.
//   - node.go: what happens to the messages of a node when it drains or has lost
//     its leases.
//   - lifetime.go: when a recipient is retried, when its sender gets a delay
//     notice, and when it expires.
package sched
