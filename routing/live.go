package routing

import (
	"context"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/live"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// SessionInfo describes one live session of a connector. It is
// smtpclient.SessionInfo.
type SessionInfo = live.Info

// A WatchFilter selects sessions. It is smtpclient.WatchFilter.
type WatchFilter = live.Filter

// Sessions lists the live sessions of all connectors with an SMTP transport, the
// oldest first: also those of a table that SetTable has replaced, as long as they
// are open. It is safe for concurrent use and delays no session.
func (r *Router) Sessions() []SessionInfo {
	r.init()
	return r.live.group.Sessions()
}

// EndSession ends a session. It reports whether there is a live session with this
// ID. See smtpclient.Transport.EndSession.
func (r *Router) EndSession(id string) bool {
	r.init()
	return r.live.group.EndSession(id)
}

// Watch sends the dialogue of the sessions that match f, also of connectors that
// a later table adds. See smtpclient.Transport.Watch.
func (r *Router) Watch(ctx context.Context, f WatchFilter) (<-chan smtpclient.ProtocolEvent, error) {
	r.init()
	return r.live.group.Watch(ctx, f)
}

// Dialogue returns the lines that a session has kept. See
// smtpclient.Transport.Dialogue.
func (r *Router) Dialogue(id string) ([]smtpclient.ProtocolEvent, error) {
	r.init()
	return r.live.group.Dialogue(id)
}

// KeepDialogue makes each session keep the last n bytes of its dialogue. See
// smtpclient.Transport.KeepDialogue.
func (r *Router) KeepDialogue(n int) {
	r.init()
	r.live.group.KeepDialogue(n)
}

// Counters returns the sums of the statistics of the SMTP transports of all
// connectors since the Router has used them, also of those that SetTable has
// replaced.
func (r *Router) Counters() smtpclient.Counters {
	r.init()
	return r.live.counters()
}

// liveTransports are the SMTP transports that a Router uses or has used.
type liveTransports struct {
	group live.Group

	mu         sync.Mutex // guards the following fields
	transports map[*smtpclient.Transport]*usedTransport
	gone       smtpclient.Counters // of transports that are no longer in transports
	tables     int                 // how many tables the Router has had
}

// usedTransport is what a Router knows of one transport.
type usedTransport struct {
	before smtpclient.Counters // when the Router began to use it
	table  int                 // the last table that has it
}

// use notes that the current table has a transport.
func (l *liveTransports) use(t *smtpclient.Transport) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.useLocked(t)
}

func (l *liveTransports) useLocked(t *smtpclient.Transport) {
	if t == nil {
		return
	}
	used := l.transports[t]
	if used == nil {
		if l.transports == nil {
			l.transports = make(map[*smtpclient.Transport]*usedTransport)
		}
		used = &usedTransport{before: t.Counters()}
		used.before.Connections = 0 // a number of now, not a sum
		l.transports[t] = used
		l.group.Add(t.LiveSessions())
	}
	used.table = l.tables
}

// replace notes that a new table has the given transports. It forgets those that
// neither this table nor the one before it has, and that have no sessions: an
// attempt in progress may still open a session by the table before.
func (l *liveTransports) replace(all []*smtpclient.Transport) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tables++
	for _, t := range all {
		l.useLocked(t)
	}
	for t, used := range l.transports {
		if used.table >= l.tables-1 || t.LiveSessions().Len() > 0 {
			continue
		}
		l.gone = l.gone.Plus(t.Counters().Minus(used.before))
		l.group.Remove(t.LiveSessions())
		delete(l.transports, t)
	}
}

func (l *liveTransports) counters() smtpclient.Counters {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.gone.Plus(smtpclient.Counters{}) // a copy
	for t, used := range l.transports {
		sum = sum.Plus(t.Counters().Minus(used.before))
	}
	return sum
}

// smtpTransports returns the SMTP transports of a table, without those that
// NewTransport makes.
func (t *Table) smtpTransports() []*smtpclient.Transport {
	var all []*smtpclient.Transport
	for _, c := range t.connectors {
		if s, is := c.Transport.(smtpTransport); is {
			all = append(all, s.Transport)
		}
	}
	return all
}
