package queue

import "time"

// Limits bound what a Queue has in hand at one time. Every field's zero value
// is its default.
type Limits struct {
	// Active is how many messages are in memory at once, to be delivered; all
	// others wait in the Store. Default 20000 (Postfix).
	Active int
	// Memory is how many bytes of content those keep that are delivered from the
	// memory that they arrived in. Beyond that, messages wait in the Store and
	// are read from there. Default 128 MiB.
	Memory int64
	// Deliveries is how many Deliver calls run at once. Default 500.
	Deliveries int
	// Rate is how many Deliver calls are begun in a second. Default no limit.
	Rate float64
	// Hop bounds each next hop.
	Hop HopLimits
	// Lease is how long a message is claimed for; leases are renewed when
	// half of it is over. Default 10 minutes.
	Lease time.Duration
	// Interrupted is how often in a row the process may die with a message in
	// hand before the message is set aside as poison (Exchange: 2); an attempt
	// that brings a result counts the message as innocent again. Poison is
	// never tried, whatever happens, but [Resubmit] gives it another chance.
	// When its time by the retry policy is over, its sender gets the failure
	// report as of any other message. Default 2.
	Interrupted int
	// BadMail is how long bad mail is kept in the Store. Default 30 days;
	// negative is for ever.
	BadMail time.Duration
	// Received is how many Received fields a message may have when it comes
	// in by Submit, the pickup folder or the replay folder. With more it is
	// taken for one that runs in circles, and refused: 554 5.4.6. A field at
	// the top that this host wrote (Queue.Hostname) does not count. Mail that
	// came by SMTP (Origin.Protocol) has another limit, which is applied
	// before the server accepts it: smtpserver.Limits.Hops. What is in the
	// queue is not counted again, but for the queue's own reports: one that
	// hooks have given too many fields fails with 4.4.6.
	// Default 30 (Exchange 2007).
	Received int
}

// HopLimits bound the traffic to one next hop. Every field's zero value is
// its default.
type HopLimits struct {
	// Concurrency is how many Deliver calls for the hop run at once at most,
	// and Start with how many it begins; in between, it adapts to what the
	// hop takes. Default 20 and 5 (Postfix).
	Concurrency, Start int
	// Recipients is how many recipients go into one Deliver call. Default 50
	// (Postfix).
	Recipients int
	// Rate is how many Deliver calls are begun in a second. Default no limit.
	Rate float64
	// Active is how many of the messages in memory may be for this hop.
	// Default a quarter of Limits.Active.
	Active int
}

func (l Limits) withDefaults() Limits {
	or(&l.Active, 20000)
	or(&l.Memory, 128<<20)
	or(&l.Deliveries, 500)
	or(&l.Lease, 10*time.Minute)
	or(&l.Interrupted, 2)
	if l.BadMail == 0 {
		l.BadMail = 30 * 24 * time.Hour
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

// or sets a setting that is not positive to its default.
func or[T int | int64 | float64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// hopLimits are the limits of one next hop.
func (q *Queue) hopLimits(key NextHop) HopLimits {
	if q.HopLimits == nil {
		return q.limits.Hop
	}
	l, _ := guarded(q.log, "HopLimits", func() (HopLimits, error) { return q.HopLimits(key), nil })
	return l.withDefaults(q.limits.Hop)
}
