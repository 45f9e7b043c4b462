package gateway

import (
	"sync"
	"time"
)

// Abort ends Run at once, without the rest of Grace: it cancels all sessions and
// attempts. Messages that were not delivered stay in the store, and those whose
// end of data is not answered may be delivered twice. Abort may be called at any
// time, more than once, and does not wait. [Main] calls it when the process gets
// a second signal.
func (g *Gateway) Abort() { g.abort.set() }

// abortMoment is the time that deliveries have to return after Abort.
const abortMoment = lastMoment / 2

// abortSignal is whether Abort was called. The zero value means no.
type abortSignal struct {
	mu     sync.Mutex // guards what follows
	ch     chan struct{}
	closed bool
}

// done returns a channel that is closed when Abort was called.
func (a *abortSignal) done() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.channel()
}

func (a *abortSignal) channel() chan struct{} {
	if a.ch == nil {
		a.ch = make(chan struct{})
	}
	return a.ch
}

func (a *abortSignal) set() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.closed = true
		close(a.channel())
	}
}

// during calls first when Abort was called, and then after abortMoment. It calls
// none of them after stop.
func (a *abortSignal) during(first, then func()) (stop func()) {
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-a.done():
		case <-stopped:
			return
		}
		first()
		select {
		case <-time.After(abortMoment):
			then()
		case <-stopped:
		}
	}()
	return func() {
		close(stopped)
		<-ended
	}
}
