package queue

import (
	"context"
	"time"

	"github.com/emersion/go-smtp"
)

// A NextHop names one destination queue: where mail goes together, waits
// together and is limited together. It is comparable; two recipients with
// equal next hops may travel in one transaction.
type NextHop struct {
	Connector   string // the send connector that serves it
	Destination string // a domain, or the name of a set of smart hosts
}

// DefaultQueue is the Destination of a hop that the Deliverer has no name for.
// (In the Store, the zero NextHop has the mail of which the hop is not known.)
const DefaultQueue = "(default)"

// String is "destination via connector", for logs and people.
func (h NextHop) String() string {
	switch {
	case h.Connector == "":
		return h.Destination
	case h.Destination == "":
		return "via " + h.Connector
	}
	return h.Destination + " via " + h.Connector
}

// A Deliverer is the send side of a queue: it knows which way mail goes, and
// takes it there. routing.Router is the one that speaks SMTP. It must be safe
// for concurrent use.
type Deliverer interface {
	// Route decides where a recipient's mail goes next. It is asked anew for
	// each attempt and must not wait for the network for long. An error that
	// is a *smtp.SMTPError with a 5xx code fails the recipient, any other
	// leaves it waiting. The zero NextHop stands for DefaultQueue.
	Route(ctx context.Context, m *Message, rcpt *Recipient) (NextHop, error)

	// Deliver makes one attempt for all of rcpts, which Route sent to hop,
	// and returns one result for each, in their order. It ends when ctx does;
	// what is not known to be delivered by then is Deferred.
	Deliver(ctx context.Context, hop NextHop, m *Message, rcpts []*Recipient) []Result
}

// A Pacer is a Deliverer that has a say in when and how fast each next hop is
// served. The queue asks whenever it is about to begin with a hop's mail; the
// answer must be cheap and must not wait.
type Pacer interface {
	Pace(hop NextHop) Pace
}

// A Checker is a Deliverer that knows whether it can work at all. Queue.Run asks
// once, at its beginning, and returns the error.
type Checker interface {
	Check() error
}

// A Changer is a Deliverer whose settings can be replaced while it is in use.
// It calls changed after each change, and does not wait for locks of its own
// then. The queue passes [Queue.SettingsChanged].
type Changer interface {
	OnChange(changed func())
}

// Pace is how a next hop wants to be served. The zero value is the queue's
// own defaults.
type Pace struct {
	// Held keeps the hop's mail waiting, and that costs no attempt: its
	// schedule is closed, or it is sent only when somebody asks (ETRN, ATRN).
	Held bool
	// Until is when to ask again; the zero time: when the hop is retried by
	// an operation of the queue.
	Until time.Time
	// MaxConcurrency bounds the deliveries to the hop at the same time.
	MaxConcurrency int
	// Retry are the waits after the first, second, ... attempt that failed;
	// the last one repeats.
	Retry []time.Duration
	// DelayNotice is how long a message may wait before its sender is notified of
	// the delay (negative: never), and Expire how long before the queue gives
	// it up; both are counted as in [RetryPolicy]. A sender's DELIVERBY
	// (RFC 2852) can only shorten them.
	DelayNotice, Expiry time.Duration
}

// Outcome is what an attempt came to.
type Outcome uint8

const (
	// Deferred: this recipient may be tried again later; the next hop works.
	Deferred Outcome = iota
	// Success: the next hop answered 2xx to the end of data.
	Success
	// Failure: the next hop, or a rule on our side, refused for good.
	Failure
	// Unreachable: the next hop could not be spoken with at all (no
	// connection, no greeting, no TLS that the policy asks for, DNS down).
	// It says nothing about the message, and all mail for the hop waits.
	Unreachable
)

// A Result is what one attempt brought for one recipient.
type Result struct {
	Outcome Outcome
	// Reply is the remote host's reply, or one of our own making where no
	// host spoke (Host is then empty).
	Reply smtp.SMTPError
	// Host is the name of the host that replied and Addr its address.
	Host string
	Addr string
	// TLS describes the connection, as "TLS1.3 TLS_AES_128_GCM_SHA256"; empty
	// for plain text.
	TLS string
	// DSN tells that the host announced DSN (RFC 3461): it has taken over
	// the duty to report, so that no "relayed" report is due from us.
	DSN bool
	// Final tells that the host has put the message into the recipient's
	// mailbox (LMTP): a success is reported as delivered, not as relayed.
	Final bool
	// Err is the cause in Go's terms, for logs; may be nil. Where it wraps
	// ErrDamaged, the content could not be read, and the recipient fails
	// whatever Outcome, short of Success, says. In JSON it is left out.
	Err error `json:"-"`
}
