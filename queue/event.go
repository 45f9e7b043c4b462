package queue

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// EventKind says what happened to a message.
type EventKind uint8

const (
	EventReceive    EventKind = iota + 1 // taken over
	EventSend                            // delivered to the next hop
	EventDefer                           // an attempt in vain; it will be tried again
	EventFail                            // given up, refused or expired
	EventDSN                             // a report was queued; Reference is its ID
	EventExpand                          // a list was replaced by its members
	EventRedirect                        // sent another way by an operator
	EventResubmit                        // sent through routing again by an operator
	EventPoison                          // set aside, since it was in hand when the process died
	EventBadMail                         // kept, since it could neither be delivered nor reported
	EventThrottle                        // a next hop takes no more at a time than it does
	EventSuppressed                      // a report was due, but is not wanted or may not be sent
	EventOperation                       // anything else that an operator did
)

var eventNames = [...]string{"", "RECEIVE", "SEND", "DEFER", "FAIL", "DSN", "EXPAND", "REDIRECT", "RESUBMIT",
	"POISONMESSAGE", "BADMAIL", "THROTTLE", "SUPPRESSED", "OPERATION"}

// String is the name that Exchange's tracking log has for it.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return ""
}

// An Event is one thing that happened to one message, or to a next hop.
type Event struct {
	Time time.Time
	Kind EventKind

	// The message. Empty for an event of a next hop as a whole.
	ID        string
	MessageID string // of the header
	Subject   string
	From      string
	Size      int64
	Received  time.Time
	Origin    Origin
	System    bool

	Recipients []EventRecipient // those that it happened to
	Hop        NextHop
	Host, Addr string // of the remote host, where one spoke
	TLS        string
	Took       time.Duration // the attempt

	// Related is the address before an expansion or a rewriting, Reference
	// the ID of another message: the report about this one, the message that
	// a report is about, the copy that was resubmitted.
	Related   string
	Reference string
	// Text says more, for people: the operation, the reason.
	Text string
}

// An EventRecipient is a recipient as it stood at the event.
type EventRecipient struct {
	Addr   string
	Status Status
	Reply  string // the last one, or the reason that there is none
}

// Number is the event's number in Exchange 2003's tracking log, 0 where that
// had none.
func (e *Event) Number() int {
	switch e.Kind {
	case EventReceive:
		if e.System {
			return 1017 // SMTP report generated
		}
		return 1019 // SMTP submit message to AQ
	case EventSend:
		return 1031 // SMTP end outbound transfer
	case EventDefer:
		if e.Host == "" && e.Hop == (NextHop{}) {
			return 1035 // SMTP message scheduled to retry routing
		}
		return 1034 // SMTP message routed and queued for remote delivery
	case EventFail:
		return 1026 // SMTP AQ failed message
	case EventDSN:
		if e.Text == string(dsn.Failed) {
			return 1030 // SMTP NDR
		}
	case EventRedirect:
		return 1042 // message redirected to the alternate recipient
	case EventResubmit:
		return 1014 // SMTP message rerouted
	case EventPoison:
		return 1022 // SMTP AQ failure
	case EventBadMail:
		return 1021 // SMTP bad mail
	case EventSuppressed:
		return 1018 // SMTP report absorbed
	}
	return 0
}

// A Subscription is a stream of a Queue's events. Events that come while its
// buffer is full are dropped and counted: a slow reader slows no delivery.
type Subscription struct {
	// C has the events. It is closed by Close.
	C <-chan Event

	c       chan Event
	events  *events
	dropped atomic.Uint64
}

// Dropped is how many events were lost so far because the buffer was full.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

// Close ends the stream. It may be called twice.
func (s *Subscription) Close() { s.events.unsubscribe(s) }

// Subscribe begins a stream of events with a buffer for that many of them;
// 0 means 8192. It goes on until it is closed, also while the Queue does not
// run.
func (q *Queue) Subscribe(buffer int) *Subscription {
	if buffer <= 0 {
		buffer = 8192
	}
	c := make(chan Event, buffer)
	s := &Subscription{C: c, c: c, events: &q.events}
	q.events.mu.Lock()
	defer q.events.mu.Unlock()
	q.events.subs = append(q.events.subs, s)
	q.events.n.Add(1)
	return s
}

// events hands events to those who subscribed.
type events struct {
	n    atomic.Int32 // how many those are
	mu   sync.Mutex   // guards subs, and keeps a channel open while it is sent on
	subs []*Subscription
}

func (es *events) unsubscribe(s *Subscription) {
	es.mu.Lock()
	defer es.mu.Unlock()
	for i, o := range es.subs {
		if o == s {
			es.subs = append(es.subs[:i], es.subs[i+1:]...)
			es.n.Add(-1)
			close(s.c)
			return
		}
	}
}

// watched says whether there is anybody to make an event for.
func (es *events) watched() bool { return es.n.Load() > 0 }

func (es *events) send(e Event) {
	es.mu.Lock()
	defer es.mu.Unlock()
	for _, s := range es.subs {
		select {
		case s.c <- e:
		default:
			s.dropped.Add(1)
		}
	}
}
