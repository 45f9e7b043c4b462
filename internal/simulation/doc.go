// Package simulation tests the whole relay in a simulated world: a network, a disk and
// a DNS in memory, clients, remote hosts and operators. All of it runs in a bubble of
// testing/synctest, so hours pass in milliseconds. It has only tests.
//
// A seed decides everything that happens: who connects when, what each host replies,
// when the disk is full, when the process or the power dies. So a run can be repeated.
//
// Each file has one part of the world:
//
//   - world: a run from its beginning to its end
//   - network: connections with delays, half-open connections and resets
//   - dns: the zones, and servers that fail
//   - hosts: the hosts that receive mail. They answer, refuse, hang, close and lie.
//   - clients: the clients that send mail
//   - relay: the relay as an embedder assembles it, its death and its restart
//   - clock: the wall clock, which is set now and then
//   - receivers: clients that request held mail by ETRN and ATRN
//   - operators: the people who suspend, redirect and remove messages
//   - bounds: what must be true at any time
//   - oracle: what must be true at the end
//   - trace: what happened, for people and for the comparison of two runs
//
// # The end of a run
//
// After a time of faults, the world heals: hosts accept mail or refuse it for good, the
// disk has room, and the operators resume what they have suspended. When the queue is
// empty, the oracle checks each message.
//
//   - A message that the relay acknowledged (250 to the end of data) has ended exactly
//     one way for each recipient: it was delivered, its failure was reported to the
//     sender, it was kept as bad mail, or an operator removed it.
//   - A message that the relay refused was never delivered to anyone.
//   - A message arrived twice only if the process died between the host's reply and the
//     record of it, or if the host's reply was lost. The record is made when the reply
//     arrives, even if the attempt continues with other recipients.
//   - Content arrived byte for byte.
//   - Limits were kept, and no goroutine is left.
//
// # The same seed gives the same run
//
// Go does not schedule goroutines in the same order each time. So no two things happen
// at the same moment: each packet, each DNS answer and each attempt has a delay of its
// own, some nanoseconds different from all others. Between two moments, one goroutine
// or a chain of goroutines works. Random numbers of actors come from the seed and the
// name of the actor, never from a shared source.
//
// # Use
//
//	go test ./internal/simulation                    # 200 seeds, at most a minute
//	go test ./internal/simulation -seeds 10000       # more, -first sets the first one
//	go test ./internal/simulation -seed 4711 -v      # one, with its trace
//
// # What is missing
//
// The marks of messages in delivery (poison) are in a mapped file, which a simulated disk
// does not have. TLS is not used. The memory that messages use in the queue is not checked
// here, but in the random events of the scheduler.
package simulation
