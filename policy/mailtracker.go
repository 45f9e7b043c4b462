package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A MailTracker records mail that servers refuse, discard or quarantine as events of
// a queue, so that the message tracking log has it. A gateway.Gateway with a tracking
// log makes one for all its servers; a program without a Gateway sets Observe of each
// server:
//
//	tracker := &policy.MailTracker{Queue: q}
//	srv.Observe = tracker.Observe
//	defer tracker.Flush()
//
// A message that was received completely has one event. Refusals before that cost a
// stranger nothing, so their number is limited: the first 10 of a client in a minute
// have an event each, and all further ones have one event at the end of the minute,
// with their number in Count. All clients together cause at most PerMinute events in
// a minute, after a burst of one hour. With the defaults these are at most 86,400
// lines a day, about 40 MB of the tracking log's 250 MB. Refusals beyond that are
// counted in one event per minute that has no client.
//
// Observe does not wait and does no I/O. A MailTracker is safe for concurrent use; its
// fields must not change after the first use.
type MailTracker struct {
	// Queue gets the events. It must be set.
	Queue interface{ Record(queue.Event) }
	// PerMinute is the number of events that refusals before the end of data cause
	// in a minute, on average. Default 60. With a negative number, all of them are only counted.
	PerMinute int

	mu      sync.Mutex                        // guards the fields below
	clients map[netip.Prefix]*trackedRefusals // in this minute
	others  int                               // refusals of clients that are not in the map, or have no event
	timer   *time.Timer                       // ends the minute; nil if no minute has begun
	tokens  float64                           // events that may be recorded now
	since   time.Time                         // when tokens was computed
}

const (
	trackedWindow  = time.Minute
	trackedEach    = 10   // events of one client in a window
	trackedClients = 4096 // clients in a window
	trackedRate    = 60   // default of PerMinute
	trackedBurst   = 60   // minutes for which PerMinute is saved up
)

// trackedRefusals are the refusals of one client in a window.
type trackedRefusals struct {
	recorded int
	further  int
	last     queue.Event // the last of the further ones, without its recipients and its sender
}

// Observe records an action of a server: see smtpserver.Server.Observe.
func (t *MailTracker) Observe(s *smtpserver.Session, a *smtpserver.Action) {
	if a.Kind == smtpserver.Refused && !a.Complete && !t.take(s, a) {
		return
	}
	t.Queue.Record(trackedEvent(s, a))
}

// take reports whether a refusal has an event of its own. Otherwise it counts it.
func (t *MailTracker) take(s *smtpserver.Session, a *smtpserver.Action) bool {
	ip, _ := clientIP(s)
	key := trackedClient(ip)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil {
		t.timer = time.AfterFunc(trackedWindow, t.Flush)
	}
	c := t.clients[key]
	if c == nil && len(t.clients) < trackedClients {
		if t.clients == nil {
			t.clients = make(map[netip.Prefix]*trackedRefusals)
		}
		c = new(trackedRefusals)
		t.clients[key] = c
	}
	switch {
	case c == nil:
		t.others++
		return false
	case c.recorded < trackedEach && t.token():
		c.recorded++
		return true
	}
	c.further++
	c.last = queue.Event{Kind: queue.EventReject, Origin: trackedOrigin(s), Text: a.By, Recipients: []queue.EventRecipient{{Reply: trackedReply(a.Reply)}}}
	return false
}

// token takes the right to record an event. t.mu is locked.
func (t *MailTracker) token() bool {
	now, rate := time.Now(), float64(cmp.Or(t.PerMinute, trackedRate))
	most := rate * trackedBurst
	if t.since.IsZero() {
		t.tokens = most
	} else {
		t.tokens = min(most, t.tokens+rate*now.Sub(t.since).Minutes())
	}
	t.since = now
	if t.tokens < 1 {
		return false
	}
	t.tokens--
	return true
}

// Flush records the refusals that are counted and have no event yet. Call it before
// the tracking log ends.
func (t *MailTracker) Flush() {
	t.mu.Lock()
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	var more []*trackedRefusals
	for _, c := range t.clients {
		if c.further > 0 {
			more = append(more, c)
		}
	}
	slices.SortFunc(more, func(a, b *trackedRefusals) int { // the most active clients first
		return cmp.Or(b.further-a.further, cmp.Compare(a.last.Origin.ClientAddr, b.last.Origin.ClientAddr))
	})
	var events []queue.Event
	others := t.others
	for _, c := range more {
		if !t.token() {
			others += c.further
			continue
		}
		c.last.Count = c.further
		events = append(events, c.last)
	}
	t.clients, t.others = nil, 0
	t.mu.Unlock()
	if others > 0 {
		events = append(events, queue.Event{Kind: queue.EventReject, Text: "other clients", Count: others})
	}
	for _, e := range events {
		t.Queue.Record(e)
	}
}

// trackedClient returns the network that counts as one client: an IPv4 address, or
// the /64 network of an IPv6 address.
func trackedClient(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p // the zero Prefix for clients without an address
}

// trackedEvent returns the event of an action.
func trackedEvent(s *smtpserver.Session, a *smtpserver.Action) queue.Event {
	e := queue.Event{ID: a.Message, From: a.From, Text: a.By, Related: a.To, Origin: trackedOrigin(s)}
	status := queue.Removed
	switch a.Kind {
	case smtpserver.Refused:
		e.Kind, status = queue.EventReject, queue.Failed
	case smtpserver.Discarded:
		e.Kind = queue.EventDrop
	default:
		e.Kind = queue.EventQuarantine
	}
	reply := trackedReply(a.Reply)
	for _, to := range a.Recipients {
		e.Recipients = append(e.Recipients, queue.EventRecipient{Addr: to, Status: status, Reply: reply})
	}
	if len(a.Recipients) == 0 && reply != "" {
		e.Recipients = []queue.EventRecipient{{Reply: reply}}
	}
	m := s.Message()
	if m == nil {
		return e
	}
	e.Labels, e.Priority = m.Options.Labels, m.Options.Priority
	c := m.Content()
	e.MessageID, e.Subject = dsn.IDAndSubject(c)
	if a.Complete && m.Body != nil {
		e.Size = c.Size()
	}
	return e
}

// trackedOrigin returns the origin of an event. A client without an account may have
// rights that only a lookup in the DNS can tell, and Observe does not wait.
func trackedOrigin(s *smtpserver.Session) queue.Origin { return originOf(s, knownNow(s)) }

// trackedReply returns the text of a reply, or "".
func trackedReply(e *smtp.SMTPError) string {
	switch {
	case e == nil:
		return ""
	case e.EnhancedCode[0] <= 0:
		return fmt.Sprintf("%d %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%d %d.%d.%d %s", e.Code, e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2], e.Message)
}
