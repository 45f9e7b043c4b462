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
// delivered twice only if the process dies between the next hop's reply and our
// record of it, or the next hop takes the message and goes before we have its
// reply (RFC 1047), or a Shutdown without patience breaks the attempt off there.
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
// A permanent refusal ends the recipient with a report. After a temporary
// refusal, or a routing error, the recipient waits. If a hop does not answer,
// all its mail waits. Damage in the stored message ends its recipients with a
// report at once. While the Store cannot record what was delivered, nothing is
// delivered.
//
// The decisions are made by queue/internal/sched, a state machine without
// clock, lock and store; start there to understand them.
//
// # Reports
//
// The sender chooses its reports by the parameters of RFC 3461. [Reports] says
// how they are written; queue/dsn writes and reads them. A report is sent
// in the form that says most. Where its way back lacks 8BITMIME, SMTPUTF8,
// REQUIRETLS or room for it, it is sent again in a form that needs less: in
// ASCII, with the original's header or only its Message-ID. No report is sent on
// a report: one that cannot be delivered is logged and kept as bad mail. Mail that can
// neither be delivered nor reported is kept: see [Queue.BadMail]. An application
// that sends can take the reports itself, without a mailbox: by a connector of
// its Router whose Transport is a Go function (see the example), or it follows
// events instead and asks for no reports (NOTIFY=NEVER).
//
// # Operations
//
// [Queue.Queues] and [Queue.Messages] say what is there, [Queue.Do] does
// something with the messages that a [Filter] selects: suspend, resume, retry,
// resubmit, redirect, expire, remove. Next hops are suspended and retried as
// such ([Queue.RetryQueues] starts all of their mail), and the Queue as a whole
// is frozen, paused and drained. When settings were replaced,
// [Queue.SettingsChanged] starts the mail that waited for them. Everything
// that happens is an [Event] for who subscribes; queue/tracking writes them to
// a log and searches it. queue/pickup makes folders doors for mail.
//
// # Stores and deliverers
//
// queue/spool is the durable store, queue/memory one for tests, and
// queue/queuetest holds any other to the same promises. routing.Router is the
// deliverer that speaks SMTP. Both interfaces are small, and either side can
// be replaced. A Deliverer that is a [Pacer] has a say in when and how fast
// each hop is served. A Store that is a [Marker] lets the Queue set messages
// aside as poison that were in hand when the process died, several times in a
// row ([Limits].Interrupted): they are not tried any more, an operator may
// resubmit them, and when their time is over their senders get the failure
// report.
package queue
