package live

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// An Entry is one live session in a Registry. It is part of the session's own
// struct, so that a session needs no more memory than its fields. Only the
// goroutine of the session calls its methods, except info.
type Entry struct {
	// In and Out count the bytes that were received and sent.
	In, Out atomic.Int64

	id, connector string
	started       int64  // in Unix nanoseconds, as since: a time.Time is three times as long
	end           func() // ends the session; called without a lock, on any goroutine
	registry      *Registry
	waiting       atomic.Pointer[string]

	next, prev *Entry // guarded by registry.mu

	mu      sync.Mutex // guards details, state and since
	details Details
	state   string
	since   int64

	lineMu  sync.Mutex // guards history, and orders the lines for all watchers
	history *history   // nil while no dialogue is kept
}

// Details are what a session knows about itself and changes as it goes on. See
// Info.
type Details struct {
	Local, Remote, Peer net.Addr // Peer: nil if it is Remote
	Name, TLS, Identity string
	MessageID, From     string
	Recipients          int32
	Messages            int32
}

// ID returns the ID of the session, as it was given to Open.
func (e *Entry) ID() string { return e.id }

// Change sets the state and changes the details with f, which must not keep its
// argument. now is the time of the change; if it is zero, it is time.Now. In the
// state that the session already has, StateSince does not change.
func (e *Entry) Change(state string, now time.Time, f func(*Details)) {
	e.mu.Lock()
	if state != e.state {
		if now.IsZero() {
			now = time.Now()
		}
		e.state, e.since = state, now.UnixNano()
	}
	f(&e.details)
	e.mu.Unlock()
}

// SetWaiting sets the name of the agent that the session waits for; nil means
// none. The text must not change.
func (e *Entry) SetWaiting(name *string) { e.waiting.Store(name) }

// Waiting returns the name of the agent that the session waits for, or "".
func (e *Entry) Waiting() string {
	if w := e.waiting.Load(); w != nil {
		return *w
	}
	return ""
}

// info returns the state of the session.
func (e *Entry) info() Info {
	e.mu.Lock()
	d, state, since := e.details, e.state, e.since
	e.mu.Unlock()
	i := Info{
		ID: e.id, Connector: e.connector, Started: time.Unix(0, e.started), State: state, StateSince: time.Unix(0, since),
		Local: text(d.Local), Remote: text(d.Remote), Peer: text(d.Peer),
		Name: d.Name, TLS: d.TLS, Identity: d.Identity,
		MessageID: d.MessageID, From: d.From, Recipients: int(d.Recipients), Messages: int(d.Messages),
		BytesIn: e.In.Load(), BytesOut: e.Out.Load(), Waiting: e.Waiting(),
	}
	if i.Peer == i.Remote {
		i.Peer = ""
	}
	return i
}

func text(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// remoteIP returns the IP address of the other end, or the zero Addr.
func (e *Entry) remoteIP() netip.Addr {
	e.mu.Lock()
	a := e.details.Remote
	e.mu.Unlock()
	if t, ok := a.(*net.TCPAddr); ok {
		ip, _ := netip.AddrFromSlice(t.IP)
		return ip.Unmap()
	}
	p, _ := netip.ParseAddrPort(text(a)) // the zero AddrPort for a Unix socket
	return p.Addr().Unmap()
}

// Watched reports whether Publish must be called for each line of the dialogue.
// It is one atomic load.
func (e *Entry) Watched() bool { return e.registry != nil && e.registry.Watched() }

// PublishOther gives a line that belongs to no session to the watchers: that a
// connection to an address failed, for example.
func (r *Registry) PublishOther(line Event, remote netip.Addr) {
	watchers := r.watchers.Load()
	if watchers == nil {
		return
	}
	for _, w := range *watchers {
		f := &w.filter
		if f.Session == "" && (f.Connector == "" || f.Connector == line.Connector) && (!f.Client.IsValid() || f.Client.Contains(remote)) {
			w.add(line)
		}
	}
}

// Publish gives a line of the dialogue to the watchers, and keeps it if
// KeepDialogue is on. The line contains no credentials and no content: it is the
// line of the protocol log.
func (e *Entry) Publish(line Event) {
	e.lineMu.Lock()
	defer e.lineMu.Unlock()
	if n := int(e.registry.keep.Load()); n > 0 {
		if e.history == nil {
			e.history = &history{}
		}
		e.history.add(&line, n)
	}
	watchers := e.registry.watchers.Load()
	if watchers == nil {
		return
	}
	for _, w := range *watchers {
		if w.filter.matches(e) {
			w.add(line)
		}
	}
}
