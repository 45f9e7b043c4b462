package queue

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// EventKind is the kind of an [Event].
type EventKind uint8

const (
	EventReceive        EventKind = iota + 1 // the message was enqueued
	EventSend                                // delivered to the next hop
	EventDefer                               // an attempt failed; there will be another one
	EventFail                                // the recipients failed or expired
	EventDSN                                 // a report was enqueued; Reference is its ID
	EventExpand                              // a list was replaced by its members
	EventRedirect                            // an operator redirected the message
	EventResubmit                            // an operator resubmitted the message
	EventPoison                              // poison message: set aside
	EventBadMail                             // bad mail: can be neither delivered nor reported
	EventThrottle                            // the Queue reduced the concurrency of a next hop
	EventSuppressed                          // a report was not sent, because NOTIFY excludes it
	EventOperation                           // any other operation of an operator
	EventBadMailRemoved                      // the oldest bad mail was removed: Limits.BadMailBytes or BadMailMessages
	EventTransfer                            // the transfer to a host begins: see Transfer

	// The Queue does not send the following events. Other parts of a relay pass
	// them to [Queue.Record].
	EventReject     // the server refused a message, a recipient, a sender or a session
	EventDrop       // an agent discarded the message
	EventQuarantine // an agent sent the message to a quarantine; Related is its address
)

var eventNames = [...]string{"", "RECEIVE", "SEND", "DEFER", "FAIL", "DSN", "EXPAND", "REDIRECT", "RESUBMIT",
	"POISONMESSAGE", "BADMAIL", "THROTTLE", "SUPPRESSED", "OPERATION", "BADMAILREMOVED", "BEGINTRANSFER", "REJECT", "DROP", "QUARANTINE"}

// String returns the name of the event in the tracking log of Exchange, if Exchange
// has this event.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return ""
}

// An Event describes one thing that happened to a message or to a next hop.
type Event struct {
	Time time.Time
	Kind EventKind

	// The message. These fields are empty if the event concerns a next hop and
	// no message.
	ID        string
	MessageID string // of the header
	Subject   string
	From      string
	Size      int64
	Received  time.Time
	Origin    Origin
	System    bool
	Labels    map[string]string // MessageOptions.Labels; must not be changed
	Priority  int               // MessageOptions.Priority

	Recipients []EventRecipient // the recipients that the event concerns
	Hop        NextHop
	Host, Addr string // of the remote host: see Result
	TLS        string
	Took       time.Duration // of the attempt
	// Final is true if the host has put the message into the mailbox: see Result.
	Final bool

	// Related is the address of the list or alias that was expanded. Reference
	// is the ID of another message: the report about this message, the bad mail
	// that was made of it, or the copy that was resubmitted.
	Related   string
	Reference string
	// Text has details for display: the operation or the reason. For EventReject,
	// EventDrop and EventQuarantine it is the name of the agent, or of the part of
	// the server, that has decided.
	Text string
	// By is who requested the operation of the event, and Reason is why: see
	// [WithOperator]. They may be empty.
	By, Reason string
	// Count is how many refusals an EventReject stands for, if there are more than
	// one.
	Count int
}

// An EventRecipient is the state of a recipient at the time of an event.
type EventRecipient struct {
	Addr   string
	Status Status
	Reply  string // the last reply, or the reason why there is none
}

// Number returns the event number in the tracking log of Exchange 2003. It
// returns 0 if Exchange has no number for the event.
func (e *Event) Number() int {
	switch e.Kind {
	case EventReceive:
		if e.System {
			return 1017 // SMTP report generated
		}
		return 1019 // SMTP submit message to AQ
	case EventSend:
		if e.Final {
			return 1023 // SMTP local delivery
		}
		return 1031 // SMTP end outbound transfer
	case EventExpand:
		return 1033 // SMTP message categorized and queued for routing
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
	case EventTransfer:
		return 1020 // SMTP begin outbound transfer
	case EventDrop:
		return 1039 // message deleted by the filter
	case EventReject:
		if e.ID != "" {
			return 1040 // message rejected by the filter
		}
	case EventQuarantine:
		return 1041 // message archived by the filter
	}
	return 0
}

// A Subscription is a stream of the events of a Queue. If its buffer is full,
// the Queue drops events and counts them, so a slow reader never delays
// deliveries.
type Subscription struct {
	// C receives the events. Close closes it.
	C <-chan Event

	c       chan Event
	events  *events
	dropped atomic.Uint64
}

// Dropped returns how many events were dropped so far because the buffer was
// full.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

// Close ends the stream. A second call has no effect.
func (s *Subscription) Close() { s.events.unsubscribe(s) }

// Subscribe returns a stream of events with a buffer for that many events. 0 or
// less means 8192. The stream continues until [Subscription.Close] is called,
// also while the Queue does not run.
//
// The events of a message come in the order in which they happen, with one
// exception: EventReceive is sent when Put of the Store has returned. A message
// that does not become active at once (for example, because the Queue does not
// run yet) can be claimed and delivered before that.
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

// events sends events to the subscriptions.
type events struct {
	n       atomic.Int32 // the number of subscriptions
	dropped atomic.Int64 // by all subscriptions, also those that were closed
	mu      sync.Mutex   // guards subs, and keeps a channel open while it is sent on
	subs    []*Subscription
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

// Record sends an event that another part of the relay has noticed to the
// subscriptions of the Queue, so that the tracking log has it. It never waits: see
// [Subscription]. If e.Time is zero, it is now. Record does not log the event. It may
// be called at any time.
func (q *Queue) Record(e Event) {
	if !q.events.watched() {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	q.events.send(e)
}

// watched reports whether there is a subscription.
func (es *events) watched() bool { return es.n.Load() > 0 }

func (es *events) send(e Event) {
	es.mu.Lock()
	defer es.mu.Unlock()
	for _, s := range es.subs {
		select {
		case s.c <- e:
		default:
			s.dropped.Add(1)
			es.dropped.Add(1)
		}
	}
}
