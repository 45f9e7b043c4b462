// Package queue is a durable mail queue. A [Queue] stores messages in a
// [Store] and delivers them through a [Deliverer]. It retries until each
// recipient is delivered or its failure is reported to the sender (RFC 3464).
// If the failure cannot be reported, the message is kept as bad mail.
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
// When Submit returns nil, the message is on stable storage. A recipient can
// be delivered twice only in three cases:
//
//   - The process dies after the next hop has accepted the message and before
//     the Queue has recorded that.
//   - The next hop accepts the message, but the connection breaks before its
//     reply arrives (RFC 1047).
//   - The context of Shutdown ends while the Queue waits for that reply.
//
// # How it works
//
// Waiting messages are in the Store. A limited number of messages is active. An
// active message is in memory. Its recipients are divided into parts, one for
// each [NextHop]. The number of concurrent deliveries to a next hop adapts to
// what the hop accepts. If a next hop cannot be reached, all of its mail waits.
// At the retry time the Queue probes the hop with one message. [Retry]
// describes the retry intervals, and [Limits] describes the limits.
//
// Delivery slots (Limits.Deliveries) and active messages (Limits.Active) are
// shared fairly:
//
//   - Each connector has an equal share. A connector that needs less than its
//     share gets all that it needs, and the others share the rest (max-min
//     fairness).
//   - The Queue serves the next hops of a connector one after the other (round
//     robin). A hop with much waiting mail gets up to eight turns in a row.
//   - Two kinds of next hops together get at most half of the slots: those that
//     have not answered yet, and those that could not be reached. So mail for a
//     host that answers does not wait for thousands of silent hosts.
//   - Next hops with the same address (Result.Addr) count as one.
//
// The result of an attempt decides what happens to a recipient:
//
//   - Permanent failure: the recipient fails, and the sender gets a report.
//   - Temporary failure or routing error: the recipient waits for its next
//     attempt.
//   - The next hop cannot be reached: all mail for the next hop waits.
//   - The stored message is damaged: its recipients fail, and the sender gets
//     a report at once.
//
// While the Store cannot record results, the Queue delivers nothing.
//
// The package queue/internal/sched makes these decisions. It is a state machine
// without a clock, a lock or a store. Read it first to understand the code.
//
// # Reports
//
// The sender requests delivery status notifications with the parameters of
// RFC 3461 (NOTIFY, RET, ENVID, ORCPT). [Reports] has the settings for the
// notifications that the Queue sends. The package queue/dsn writes and reads
// them.
//
// The first form of a report contains the most information. A host can refuse
// it because the report is too large, or because a host on the way lacks
// 8BITMIME, SMTPUTF8 or REQUIRETLS. The Queue then sends the report again in a
// smaller form. This form is in ASCII. It contains only the header of the
// original message, or only its Message-ID.
//
// The Queue sends no report about a report. It logs a report that cannot be
// delivered and keeps it as bad mail. It also keeps each message that can be
// neither delivered nor reported: see [Queue.BadMail]. Bad mail has limits in
// time, bytes and number ([Limits]), because a stranger can make it.
//
// An application that sends mail can process the reports without a mailbox:
// one connector of its routing.Router gets a Transport that is a Go function
// (see the example). It can also subscribe to events, and request no reports
// (NOTIFY=NEVER).
//
// # Operations
//
// [Queue.Queues] lists the next hops and [Queue.Messages] lists the messages.
// [Queue.Do] performs an operation on the messages that a [Filter] selects:
// suspend, resume, retry, resubmit, redirect, expire or remove.
// [Queue.CountFor] returns the number of these messages before that. For pages
// of a user interface, [Queue.QueuePage] and [Queue.Search] return a part of a
// list, and limit the work that this takes. [Queue.Shape] is the table of
// Postfix's qshape.
//
// [Queue.Suspend] suspends a next hop or a domain, also across restarts, and
// [Queue.Lift] ends the suspension. [Queue.RetryQueues] retries all mail of next
// hops now. [Queue.Freeze] refuses new mail, [Queue.Pause] stops deliveries,
// and [Queue.Drain] empties the Queue. Call [Queue.SettingsChanged] after a
// change of settings. It retries the mail that waits because of the old
// settings.
//
// # Final results
//
// Each thing that happens is an [Event] for the subscribers. A subscriber that is
// slow loses events. An application that must not lose a result, for example
// because it writes a table of the delivery results, sets [Queue.FinalResults].
// The message stays in the Store until FinalResults has accepted the final result
// of each recipient. The message has the status [MessageResults] during this time.
// It is in the queue [FinalResultsQueue], which an operator can suspend and resume.
//
// The package queue/tracking writes events to a log and searches it. The package
// queue/pickup submits the messages that programs write to a folder.
//
// # Stores and deliverers
//
// The package queue/spool is the durable Store. The package queue/memory is a
// Store for tests. The package queuetest tests any Store against the rules of
// the interface. routing.Router is the Deliverer that sends by SMTP. Store and
// Deliverer are small interfaces, and an application can replace either one.
//
// A Deliverer that is also a [Pacer] controls when and how fast the Queue
// serves each next hop. A Store that is also a [DeliveryJournal] lets the Queue
// detect poison messages: messages that were in delivery each time the process
// died ([Limits].Interrupted times in a row), the last time alone. The Queue
// does not attempt them again. An operator can resubmit them. When the queue lifetime is over, the
// sender gets the failure report.
//
// A Store that is also a [Searcher] finds messages by address and status. The cost
// depends on the number of messages found, not on the number stored. A Store that
// is also a [SuspensionStore] keeps suspensions across restarts. A [Walker] and a
// [StoreReporter] serve the statistics.
package queue
