package queue

import (
	"context"
	"time"
)

// A NextHop identifies one destination queue. Mail for the same next hop waits
// together and shares the limits of the hop. NextHop is comparable. Recipients
// with equal next hops may be sent in one transaction.
type NextHop struct {
	Connector   string // the send connector that serves it
	Destination string // a domain, or the name of a set of smart hosts
}

// DefaultQueue is the Destination that the Queue sets when Route returns the
// zero NextHop. (In the Store, the zero NextHop means that the hop is not
// known.)
const DefaultQueue = "(default)"

// String returns "destination via connector", for logs and display.
func (h NextHop) String() string {
	switch {
	case h.Connector == "":
		return h.Destination
	case h.Destination == "":
		return "via " + h.Connector
	}
	return h.Destination + " via " + h.Connector
}

// A Deliverer is the send side of a queue: it routes messages and delivers
// them. routing.Router is the Deliverer that sends by SMTP. The methods must be
// safe for concurrent use.
type Deliverer interface {
	// Route returns the next hop of a recipient. The Queue calls it before
	// each attempt. It must not wait long for the network. If the error is a
	// *smtp.SMTPError with a 5xx code, the recipient fails. After any other
	// error the recipient waits. The zero NextHop means DefaultQueue.
	Route(ctx context.Context, m *Message, rcpt *Recipient) (NextHop, error)

	// Deliver makes one attempt for rcpts, which Route sent to hop. It returns
	// one result for each, in the same order. It must return when ctx ends. A
	// recipient that is not known to be delivered by then is Deferred. If
	// Deliver has delivered to some recipients and must wait before it returns,
	// it calls [Progress]. It calls [MayFinish] before an attempt becomes final.
	// Of the recipients of m that are not in rcpts, it may read Addr and Options:
	// other deliveries of m change the other fields at the same time.
	Deliver(ctx context.Context, hop NextHop, m *Message, rcpts []*Recipient) []Result
}

// Hurry reports whether delivery slots are scarce. Deliver must then give up
// sooner if a host does not answer. ctx is the context of a Deliver call.
func Hurry(ctx context.Context) bool { return ctx.Value(hurryKey{}) != nil }

type hurryKey struct{}

// Early returns the context for the part of an attempt that can be canceled
// without a duplicate: everything before the end of data. It ends when ctx
// ends. During a [Queue.Shutdown] it can end sooner. ctx is the context of a
// Deliver call.
func Early(ctx context.Context) context.Context {
	if early, ok := ctx.Value(earlyKey{}).(context.Context); ok {
		return early
	}
	return ctx
}

type earlyKey struct{}

// MayFinish reports whether an attempt may become final now. A Deliverer calls it at
// the last moment: before the end of data in SMTP, before a file gets its name.
// If the result is not nil, it must end the attempt without delivering, and return
// Deferred; the attempt then does not count. If the Store is a [Cluster], this
// prevents that a node delivers a message that another node has taken over. For
// other Stores the result is always nil.
//
// ctx is the context of the Deliver call or derived from it. MayFinish is cheap and
// returns at once.
func MayFinish(ctx context.Context) error {
	if f, ok := ctx.Value(finishKey{}).(func() error); ok {
		return f()
	}
	return nil
}

// WithMayFinish returns a copy of ctx in which MayFinish calls f. It is for tests of
// Deliverers.
func WithMayFinish(ctx context.Context, f func() error) context.Context {
	return context.WithValue(ctx, finishKey{}, f)
}

type finishKey struct{}

// A Pacer is a Deliverer that controls when and how fast the Queue serves each
// next hop. The Queue calls Pace before it delivers mail for a hop. Pace must
// be cheap and must not block.
type Pacer interface {
	Pace(hop NextHop) Pace
}

// A Releaser is a Deliverer that keeps mail until it is requested, for example until a
// dial-up line is up, or until a time of day. [Queue.RetryQueue], [Queue.RetryQueues] and [RetryNow] call
// Release for each hop that they retry, and then call Pace. With several nodes, each node calls it.
// Release must be cheap and must not block.
type Releaser interface {
	Pacer
	Release(hop NextHop)
}

// A Checker is a Deliverer that can check its own settings. Queue.Run calls
// Check once, before it delivers, and returns its error.
type Checker interface {
	Check() error
}

// A Changer is a Deliverer whose settings can be replaced while it is in use.
// It calls changed after each change. It must not hold its own locks during
// this call. The Queue passes [Queue.SettingsChanged] to OnChange.
type Changer interface {
	OnChange(changed func())
}

// Pace has the settings of a [Pacer] for one next hop. The zero value means
// the defaults of the Queue.
type Pace struct {
	// Held keeps the mail for the hop in the queue. A hop is Held when it is
	// outside its schedule, or when its mail is sent only on request (ETRN,
	// ATRN). Holding mail does not count as an attempt.
	Held bool
	// Until is when the Queue calls Pace again for a hop that is Held. If it is
	// zero, the Queue calls Pace again when an operation retries the hop or the
	// settings change.
	Until time.Time
	// MaxConcurrency is the maximum number of deliveries to the hop at the same
	// time, on all nodes if they share limits (see [HopLimits]). 0 means that only
	// the limits of the Queue apply.
	MaxConcurrency int
	// PerNode makes MaxConcurrency a limit of this node alone, for example because it is
	// the number of the connections that this node has (ATRN).
	PerNode bool
	// Retry are the retry intervals after the first, second, ... failed
	// attempt. The last one repeats.
	Retry []time.Duration
	// DelayNotice is the time after which the sender gets a delay notice.
	// Negative means never. Expiry is the queue lifetime. 0 means the value of
	// the [RetryPolicy]. Both times count from the same moment as those of
	// RetryPolicy.Lifetime. The sender can only shorten them, with DELIVERBY
	// (RFC 2852).
	DelayNotice, Expiry time.Duration
}
