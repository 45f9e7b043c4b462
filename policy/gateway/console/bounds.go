package console

import (
	"net/http"
	"sync"
	"time"
)

// A boundKind is a kind of request whose number at the same time is limited.
type boundKind uint8

const (
	boundNone   boundKind = iota
	boundStream           // answers that do not end by themselves
	boundSearch           // searches through messages or logs
	boundExport           // contents of messages
	boundReport           // checks of other hosts, and of whole logs
	boundKinds
)

// maxAtOnce are the limits. They keep the console from using the memory and the
// disk that the relay needs.
var maxAtOnce = [boundKinds]int{boundNone: 100, boundStream: 20, boundSearch: 4, boundExport: 4, boundReport: 2}

// streamTime is how long a stream may take. The browser then connects again.
const streamTime = 10 * time.Minute

// bounds has a place for each request that may be in progress.
type bounds [boundKinds]chan struct{}

func newBounds() (b bounds) {
	for kind := range b {
		b[kind] = make(chan struct{}, maxAtOnce[kind])
	}
	return b
}

// take takes a place for a request, or returns 429. It does not wait. A second call
// of release has no effect.
func (b bounds) take(kind boundKind) (release func(), err error) {
	select {
	case b[kind] <- struct{}{}:
		return sync.OnceFunc(func() { <-b[kind] }), nil
	default:
		return nil, &problem{Status: http.StatusTooManyRequests, Detail: "Too many requests of this kind are in progress. Try again later.", retry: 5 * time.Second}
	}
}
