package live

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/protolog"
)

// An Event is one line of the dialogue of a session, as in the protocol log. It
// contains no credentials and no content.
type Event = protolog.Event

// A Filter selects sessions. A session must match all fields that are set. The
// zero value matches all sessions.
type Filter struct {
	Session   string       // the ID of one session
	Connector string       // the name of a connector
	Client    netip.Prefix // the network of the client, or of the host that gets the mail
}

func (f *Filter) matches(e *Entry) bool {
	switch {
	case f.Session != "" && f.Session != e.id, f.Connector != "" && f.Connector != e.connector:
		return false
	}
	return !f.Client.IsValid() || f.Client.Contains(e.remoteIP())
}

// Limits of watching.
const (
	MaxWatchers     = 16       // watchers of one Registry or Group
	MaxLines        = 1000     // lines that wait for one watcher
	MaxDialogue     = 64 << 10 // bytes of dialogue that a session keeps
	DefaultDialogue = 4 << 10  // a good argument for KeepDialogue: about 30 lines
)

// Errors of Watch.
var (
	ErrNoSession       = errors.New("there is no live session with this ID")
	ErrTooManyWatchers = errors.New("too many watchers")
)

// A watcher collects the lines for one receiver.
type watcher struct {
	filter Filter
	wake   chan struct{} // has a value when there may be something to do

	mu    sync.Mutex // guards the following fields
	lines []Event    // not yet received
	lost  int        // lines that were lost after the last one in lines
	done  bool       // no more lines will come
}

func newWatcher(f Filter) *watcher { return &watcher{filter: f, wake: make(chan struct{}, 1)} }

// add adds a line, or counts it as lost. It never waits.
func (w *watcher) add(line Event) {
	w.mu.Lock()
	if len(w.lines) < MaxLines {
		if w.lost > 0 {
			w.lines = append(w.lines, w.lossMarker())
		}
		w.lines = append(w.lines, line)
	} else {
		w.lost++
	}
	w.mu.Unlock()
	w.signal()
}

// lossMarker returns the line about lost lines. The caller holds mu.
func (w *watcher) lossMarker() Event {
	n := w.lost
	w.lost = 0
	return Event{Time: time.Now(), Kind: '*', Context: strconv.Itoa(n) + " lines lost: the watcher is too slow"}
}

// finish ends the watch after the lines that wait.
func (w *watcher) finish() {
	w.mu.Lock()
	w.done = true
	w.mu.Unlock()
	w.signal()
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// next returns the next line. ok is false if there is none now.
func (w *watcher) next() (line Event, ok, done bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(w.lines) > 0:
		line = w.lines[0]
		w.lines[0] = Event{}
		w.lines = w.lines[1:]
		return line, true, false
	case w.lost > 0:
		return w.lossMarker(), true, false
	}
	return line, false, w.done
}

// start sends the lines to the channel until ctx ends or the watch is finished.
// It then calls leave and closes the channel.
func (w *watcher) start(ctx context.Context, leave func()) <-chan Event {
	to := make(chan Event)
	go func() {
		defer close(to)
		defer leave()
		for {
			line, ok, done := w.next()
			switch {
			case ok:
				select {
				case to <- line:
				case <-ctx.Done():
					return
				}
			case done:
				return
			default:
				select {
				case <-w.wake:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return to
}
