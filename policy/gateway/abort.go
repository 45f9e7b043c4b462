package gateway

import "time"

// Abort ends Run at once, without the rest of Grace: it cancels all sessions and
// attempts. Messages that were not delivered stay in the store, and those whose
// end of data is not answered may be delivered twice. Abort may be called at any
// time, more than once, and does not wait. [Main] calls it when the process gets
// a second signal.
func (g *Gateway) Abort() { g.abort.set() }

// abortMoment is the time that deliveries have to return after Abort.
const abortMoment = lastMoment / 2

// An abortSignal is whether Abort was called.
type abortSignal struct{ event }

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
