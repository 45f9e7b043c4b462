// Package queue is a mail queue: it takes messages over, keeps them safe in a
// [Store], and has a [Deliverer] deliver them, with retries, until every
// recipient has ended: delivered, or its failure reported to the sender
// (RFC 3464), or, where there is nobody to report to, kept as bad mail.
//
//	store, err := spool.Open(dir, nil)
//	...
//	q := &queue.Queue{Store: store, Deliverer: router}
//	go q.Run(ctx)
//	...
//	err = q.Submit(ctx, &queue.Message{
//		From:       "alice@example.com",
//		Recipients: queue.Rcpt("bob@example.net"),
//		Content:    queue.String(text),
//	})
//
// When Submit returns nil, the message is on stable storage. A recipient is
// delivered twice only if the process dies between the next hop's reply and
// our record of it.
//
// # How it works
//
// Waiting messages live in the Store. A bounded number of them is active: in
// memory, split into parts that go to one [NextHop] each. Hops are served in
// turn, each with a concurrency that adapts to what it takes. A hop that
// cannot be reached is put aside as a whole with all its mail, and probed by
// one message when its time comes, so that a dead host delays nobody else's
// mail. See [Retry] for when and how often, and [Limits] for how much.
//
// # Stores and deliverers
//
// queue/spool is the durable store, queue/memory one for tests, and
// queue/queuetest holds any other to the same promises. routing.Router is the
// deliverer that speaks SMTP. Both interfaces are small, and either side can
// be replaced.
package queue
