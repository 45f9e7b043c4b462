// Package postgres is a [queue.Store] in a PostgreSQL database. The queues of several
// relay nodes share it. If a node dies, the others deliver its mail, and no operator
// must act.
//
//	store, err := postgres.Open(ctx, "postgres://relay@db.example.com/mail", nil)
//	...
//	q := &queue.Queue{Store: store, Deliverer: router}
//
// # Nodes
//
// Each node reports to the database that it is alive (a heartbeat). A message that is
// in delivery is leased by one node. If a node does not report for
// [Options].DeadAfter, the others end its leases and deliver its messages.
//
// # Limits
//
// The concurrency and the rate of a next hop (queue.HopLimits, queue.Pace) apply to all
// nodes together, and policy.Rates do if the Store is their Shared. A node asks the
// database about once a second, or at once when it needs more. It divides concurrency
// max-min fair; if there are fewer slots than nodes, they take turns of 5 seconds. All
// nodes together never have more attempts in progress than the limit, as long as a dead
// node ends its attempts within [Options].DeadAfter (an attempt that waits for the reply
// to the end of data may take longer). A failover to an asynchronous standby may lose
// the last changes, and the limit may then be exceeded until nodes ask again. See
// queue.LimitWithoutContact for nodes that cannot reach the database.
//
// # Files
//
// open.go opens the database, migrate.go creates its tables (folder schema), put.go
// and commit.go store messages in groups, outcome.go finds out whether a group
// whose answer was lost was committed, claim.go leases messages, leases.go knows the leases
// of this node, dispose.go records results in groups, content.go and slots.go store
// content, journal.go records what is in delivery, node.go and takeover.go are the
// heartbeat and the takeover, limits.go and counts.go divide limits among the nodes,
// notices.go wakes other nodes, search.go finds messages.
package postgres
