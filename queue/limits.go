package queue

import "time"

// Limits are the limits of a Queue. The zero value of each field means its
// default.
type Limits struct {
	// Active is the maximum number of active messages: messages in memory, to
	// be delivered. All others wait in the Store. Default 20000 (Postfix). If the
	// Store is a [Cluster], the default is 4000, so that the other nodes get a share.
	Active int
	// Memory is the maximum number of bytes of message content that the Queue
	// keeps in memory. Content that Submit receives in memory stays there while
	// its message is active. When the limit is reached, new messages wait in
	// the Store, and their content is read from there. Default 128 MiB.
	Memory int64
	// Deliveries is the maximum number of Deliver calls at the same time.
	// Default 500.
	Deliveries int
	// Rate is the maximum number of Deliver calls that begin per second.
	// Default no limit.
	Rate float64
	// Hop has the limits for each next hop.
	Hop HopLimits
	// Lease is how long a message is leased. The Queue renews a lease when half
	// of this time is over. Default 10 minutes.
	Lease time.Duration
	// Interrupted is how many times in a row the process may die while a
	// message is in delivery. The Queue then attempts the message alone once:
	// for at most 30 seconds nothing else is in delivery. If the process dies
	// again, the message is set aside as poison. An attempt that ends with a
	// result resets the count. The Queue never attempts poison messages again;
	// [Resubmit] submits copies of them. When the queue lifetime is over, the
	// sender gets the failure report. Default 2 (Exchange).
	Interrupted int
	// BadMail is how long the Store keeps bad mail. Default 30 days. Negative
	// means for ever.
	BadMail time.Duration
	// BadMailBytes is the maximum number of bytes of bad mail in the Store:
	// content, addresses and replies. If a new message would exceed this limit,
	// it is kept without its body. If the limit is still exceeded, the oldest
	// bad mail is removed ([EventBadMailRemoved]). Default 50 MiB. Negative
	// means no limit.
	BadMailBytes int64
	// BadMailMessages is the maximum number of messages of bad mail in the
	// Store. When a new message exceeds this limit, the oldest message of bad
	// mail is removed. Default 10000. Negative means no limit.
	BadMailMessages int
	// Received is the maximum number of Received fields of a message that
	// Submit, the pickup folder and the replay folder accept. A message with
	// more is considered a mail loop and is refused with 554 5.4.6. A field at
	// the top that this host has written (Queue.Hostname) does not count. Mail
	// that arrived by SMTP (Origin.Protocol is set) has another limit, which
	// the server checks before it accepts the message: smtpserver.Limits.Hops.
	// The Queue counts the fields of its own reports again before the first
	// attempt. If hooks have added too many, the report fails with 4.4.6.
	// Default 30 (Exchange 2007).
	Received int
}

// HopLimits are the limits for one next hop. The zero value of each field means
// its default.
//
// If several nodes share the Store and it is a [LimitSharer], Concurrency and Rate
// apply to all nodes together, and all nodes should have the same values. Start,
// Recipients and Active apply to each node. Exceptions: if several next hops have the
// same host, they have Concurrency of one hop together on each node; a message that is
// attempted alone (Limits.Interrupted) does not count; and see [LimitWithoutContact]. A
// node keeps few messages in memory that it cannot deliver soon, and leaves the others
// to the other nodes.
type HopLimits struct {
	// Concurrency is the maximum number of Deliver calls for the hop at the
	// same time. Start is the number that is allowed at the beginning. The
	// Queue then adapts the number to what the hop accepts, up to Concurrency.
	// The defaults are 20 and 5 (Postfix).
	Concurrency, Start int
	// Recipients is the maximum number of recipients in one Deliver call.
	// Default 50 (Postfix).
	Recipients int
	// Rate is the maximum number of Deliver calls that begin per second.
	// Default no limit.
	Rate float64
	// Active is the maximum number of active messages for this hop. Default a
	// quarter of Limits.Active.
	Active int
}

func (l Limits) withDefaults(cluster bool) Limits {
	if cluster {
		or(&l.Active, 4000)
	}
	or(&l.Active, 20000)
	or(&l.Memory, 128<<20)
	or(&l.Deliveries, 500)
	or(&l.Lease, 10*time.Minute)
	or(&l.Interrupted, 2)
	if l.BadMail == 0 {
		l.BadMail = 30 * 24 * time.Hour
	}
	if l.BadMailBytes == 0 {
		l.BadMailBytes = 50 << 20
	}
	if l.BadMailMessages == 0 {
		l.BadMailMessages = 10000
	}
	or(&l.Received, 30)
	l.Hop = l.Hop.withDefaults(HopLimits{Concurrency: 20, Start: 5, Recipients: 50, Active: max(l.Active/4, 1)})
	return l
}

func (l HopLimits) withDefaults(d HopLimits) HopLimits {
	or(&l.Concurrency, d.Concurrency)
	or(&l.Start, min(d.Start, l.Concurrency))
	or(&l.Recipients, d.Recipients)
	or(&l.Rate, d.Rate)
	or(&l.Active, d.Active)
	l.Start = min(l.Start, l.Concurrency)
	return l
}

// or sets *v to its default d if it is not positive.
func or[T int | int64 | float64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// hopLimits returns the limits of one next hop.
func (q *Queue) hopLimits(key NextHop) HopLimits {
	if q.HopLimits == nil {
		return q.limits.Hop
	}
	l, _ := guarded(q.log, "HopLimits", func() (HopLimits, error) { return q.HopLimits(key), nil })
	return l.withDefaults(q.limits.Hop)
}
