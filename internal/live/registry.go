package live

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Registry has the live sessions of one part. The zero value is ready to use.
// It is safe for concurrent use and must not be copied.
type Registry struct {
	active   atomic.Int32 // watchers, and 1 more while dialogue is kept
	keep     atomic.Int64 // bytes of dialogue that each session keeps
	watchers atomic.Pointer[[]*watcher]

	mu          sync.Mutex // guards the list of sessions, and changes of the fields above
	first, last *Entry     // the oldest and the newest session
	n           int
}

// Open adds a session. end ends it: it is called without a lock, on any
// goroutine, perhaps several times and after Close.
func (r *Registry) Open(e *Entry, id, connector string, local, remote net.Addr, now time.Time, state string, end func()) {
	e.id, e.connector, e.started, e.end = id, connector, now.UnixNano(), end
	e.details.Local, e.details.Remote = local, remote
	e.state, e.since = state, now.UnixNano()
	e.registry = r
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.prev = r.last; e.prev != nil {
		e.prev.next = e
	} else {
		r.first = e
	}
	r.last = e
	r.n++
}

// Close removes a session, and ends the watches of this session.
func (r *Registry) Close(e *Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		r.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		r.last = e.prev
	}
	e.prev, e.next = nil, nil
	r.n--
	if all := r.watchers.Load(); all != nil {
		for _, w := range *all {
			if w.filter.Session == e.id {
				w.finish()
			}
		}
	}
}

// Watched reports whether anybody watches a session, or dialogue is kept.
func (r *Registry) Watched() bool { return r.active.Load() != 0 }

// Len returns the number of live sessions.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// entries returns the live sessions, the oldest first.
func (r *Registry) entries() []*Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Entry, 0, r.n)
	for e := r.first; e != nil; e = e.next {
		all = append(all, e)
	}
	return all
}

// find returns a session, or nil.
func (r *Registry) find(id string) *Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := r.first; e != nil; e = e.next {
		if e.id == id {
			return e
		}
	}
	return nil
}

// Sessions lists the live sessions, the oldest first. It blocks no session for
// longer than it takes to copy its fields.
func (r *Registry) Sessions() []Info {
	all := r.entries()
	infos := make([]Info, len(all))
	for i, e := range all {
		infos[i] = e.info()
	}
	return infos
}

// EndSession ends a session. It reports whether there is a session with this ID.
func (r *Registry) EndSession(id string) bool {
	e := r.find(id)
	if e == nil {
		return false
	}
	e.end()
	return true
}

// KeepDialogue makes each session keep the last n bytes of its dialogue, so that
// a watch of a session that already runs begins with them. Sessions that run now
// keep their next lines. At most MaxDialogue bytes are kept for each
// session. 0 or less keeps nothing, which is the default, and drops what was
// kept.
func (r *Registry) KeepDialogue(n int) {
	n = min(max(n, 0), MaxDialogue)
	r.mu.Lock()
	r.keep.Store(int64(n))
	r.setActive()
	r.mu.Unlock()
	if n > 0 {
		return
	}
	for _, e := range r.entries() {
		e.lineMu.Lock()
		if r.keep.Load() == 0 {
			e.history = nil
		}
		e.lineMu.Unlock()
	}
}

// Dialogue returns the lines that a session has kept: see KeepDialogue. If some are
// missing, the first line says how many. The error is ErrNoSession.
func (r *Registry) Dialogue(id string) ([]Event, error) {
	e := r.find(id)
	if e == nil {
		return nil, ErrNoSession
	}
	e.lineMu.Lock()
	defer e.lineMu.Unlock()
	return e.history.events(e), nil
}

// setActive sets active. The caller holds mu.
func (r *Registry) setActive() {
	n := 0
	if all := r.watchers.Load(); all != nil {
		n = len(*all)
	}
	if r.keep.Load() > 0 {
		n++
	}
	r.active.Store(int32(n))
}

// Watch sends the lines of the dialogue of all sessions that match f, also of
// sessions that begin later: these from their first line on. The channel is
// closed when ctx ends. The receiver should read until then.
//
// A watch of one session (Filter.Session) begins with the lines that the session
// has kept (see KeepDialogue), and the channel is closed when the session has
// ended.
//
// A receiver that is slow delays no session. MaxLines lines wait for it; more are
// lost, and one line with the Kind '*' and an empty Session says how many.
//
// The errors are ErrNoSession and ErrTooManyWatchers.
func (r *Registry) Watch(ctx context.Context, f Filter) (<-chan Event, error) {
	w := newWatcher(f)
	if err := r.join(w, MaxWatchers); err != nil {
		return nil, err
	}
	return w.start(ctx, func() { r.remove(w) }), nil
}

// join adds a watcher, unless there are most. A watcher of one session first gets
// what the session has kept.
func (r *Registry) join(w *watcher, most int) error {
	if w.filter.Session == "" {
		return r.add(w, most)
	}
	e := r.find(w.filter.Session)
	if e == nil {
		return ErrNoSession
	}
	e.lineMu.Lock() // no line comes between the history and the rest
	defer e.lineMu.Unlock()
	for _, line := range e.history.events(e) {
		w.add(line)
	}
	if err := r.add(w, most); err != nil {
		return err
	}
	if r.find(e.id) == nil { // it has ended meanwhile: Close may not have seen the watcher
		w.finish()
	}
	return nil
}

func (r *Registry) add(w *watcher, most int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*watcher
	if old := r.watchers.Load(); old != nil {
		all = *old
	}
	if len(all) >= most {
		return ErrTooManyWatchers
	}
	all = append(all[:len(all):len(all)], w)
	r.watchers.Store(&all)
	r.setActive()
	return nil
}

func (r *Registry) remove(w *watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.watchers.Load()
	if old == nil {
		return
	}
	rest := make([]*watcher, 0, len(*old))
	for _, x := range *old {
		if x != w {
			rest = append(rest, x)
		}
	}
	if r.watchers.Store(&rest); len(rest) == 0 {
		r.watchers.Store(nil)
	}
	r.setActive()
}
