// Package sched is the core of the queue's scheduler: a state machine. It is
// plain data and functions. It has no store, no clock, no goroutine, no lock
// and no context; the driver around it (queue.Queue) has them.
//
//	            events, time                     decisions
//	driver ───────────────────▶  Scheduler  ───────────────────▶  driver
//	(store, deliverer, clock)                            (claims, delivers,
//	                                                      records, sleeps)
//
// The driver calls one method of a [Scheduler] for each thing that happened, and
// carries out the decisions that result. The same events at the same times give
// the same decisions.
//
// # How it works
//
// A [Message] is active from the moment when it is claimed until its last
// record is written. It is routed: each group of recipients with the same next
// hop becomes a [Part], which waits in the queue of its [Hop]. Hops with parts
// that may be delivered take turns. Each delivered part ends; when the last
// part of a message has ended, the message is recorded and leaves.
//
// A hop that cannot be reached is dead: its parts go back to the store, and are
// not claimed until one message, the probe, has reached the host. A hop can also
// be shut, by an operator or by its Pacer.
//
// # Where to start reading
//
//   - event.go: all events and decisions. Start here.
//   - scheduler.go: the state, and which workers run.
//   - turn.go: which hop's turn it is. Rules for fair shares belong here.
//   - message.go, hop.go: what is known of a message and of a hop.
//   - attempt.go: what an attempt means for its hop.
//   - due.go: what the driver's loop has to do, and when.
//   - claim.go, lease.go, suspect.go: messages that come, stay, and are suspect.
//   - lifetime.go: when a recipient is retried, notified about, and expires.
package sched
