package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A Health is the result of the checks of a relay.
type Health struct {
	// OK is true if all checks have succeeded.
	OK     bool          `json:"ok"`
	Checks []HealthCheck `json:"checks"`
}

// A HealthCheck is the result of one check.
type HealthCheck struct {
	// Name is what was checked: "relay", "queue", "store", "listener", or the name
	// that a part of the relay has given.
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail is the reason if the check failed. Otherwise it may have a state
	// that an operator should know. It contains no file names and no addresses
	// of clients.
	Detail string `json:"detail,omitempty"`
}

// A phase is what Run does.
type phase int32

const (
	notStarted phase = iota
	starting         // checks the settings, opens sockets
	running
	stopping
	ended // Run has returned
)

var phases = [...]string{notStarted: "Run was not called yet", starting: "the relay is starting", running: "",
	stopping: "the relay is shutting down", ended: "the relay has ended"}

func (g *Gateway) enter(p phase) { g.phase.Store(int32(p)) }

// Health checks whether the relay can accept mail:
//
//   - relay: Run was called, and the relay is not shutting down.
//   - queue: it runs, and it is not frozen or draining (queue.Queue.Freeze, Drain),
//     nor is its node (queue.Cluster.Drain). A node that drains still accepts mail.
//   - store: it can be written, and reached if it is in a network. For a Store that
//     is not a queue.StoreReporter, Sync must succeed. Its Detail has the warnings of
//     a StoreReporter.
//   - listener, one for each: it is open.
//   - each of Gateway.Parts that has a method Health() HealthCheck.
//
// Deliveries that wait do not make a relay unhealthy, for example because they are
// paused or because no next hop answers: the relay still accepts mail. If ctx ends
// first, the check of the store fails.
func (g *Gateway) Health(ctx context.Context) Health {
	now := phase(g.phase.Load())
	checks := []HealthCheck{checked("relay", phases[now])}
	if now == running || now == stopping { // otherwise Run may still set the limits of the Queue
		checks = append(checks, g.queueHealth(), g.storeHealth(ctx))
	}
	if now != notStarted {
		for _, l := range g.Listeners {
			checks = append(checks, l.health())
		}
	}
	for _, part := range g.Parts {
		if p, is := part.(interface{ Health() HealthCheck }); is && !isNil(p) {
			checks = append(checks, p.Health())
		}
	}
	h := Health{OK: true, Checks: checks}
	for _, c := range checks {
		h.OK = h.OK && c.OK
	}
	return h
}

// checked returns a check that has failed because of reason, or has succeeded if
// reason is empty.
func checked(name, reason string) HealthCheck {
	return HealthCheck{Name: name, OK: reason == "", Detail: reason}
}

func (g *Gateway) queueHealth() HealthCheck {
	st := g.Queue.State()
	switch {
	case st.Ended:
		return checked("queue", "the queue is shut down")
	case !st.Running:
		return checked("queue", "the queue does not run")
	case st.Draining:
		return checked("queue", "the queue is draining")
	case st.Drained:
		return checked("queue", "this node drains, the other nodes deliver its mail")
	case st.Frozen:
		return checked("queue", "receiving is paused by an operator")
	case st.Paused:
		return HealthCheck{Name: "queue", OK: true, Detail: "deliveries are paused by an operator"}
	}
	return checked("queue", "")
}

func (g *Gateway) storeHealth(ctx context.Context) HealthCheck {
	if !g.Queue.State().Recording {
		return checked("store", "the results of deliveries cannot be recorded")
	}
	st := g.storeStats(ctx)
	if reason := storeFault(st.Err); reason != "" {
		return checked("store", reason)
	}
	return HealthCheck{Name: "store", OK: true, Detail: strings.Join(st.Warnings, "; ")}
}

// storeStats returns why the store cannot be written, or its warnings. Only one goroutine
// at a time asks it: a disk that does not answer may keep it for long.
func (g *Gateway) storeStats(ctx context.Context) queue.StoreStats {
	select {
	case g.asking() <- struct{}{}:
	case <-ctx.Done():
		return queue.StoreStats{Err: ctx.Err()}
	}
	answer := make(chan queue.StoreStats, 1)
	go func() {
		defer func() { <-g.asking() }()
		if r, ok := g.Queue.Store.(queue.StoreReporter); ok {
			answer <- r.StoreStats()
			return
		}
		answer <- queue.StoreStats{Err: g.Queue.Store.Sync(ctx)}
	}()
	select {
	case st := <-answer:
		return st
	case <-ctx.Done():
		return queue.StoreStats{Err: ctx.Err()}
	}
}

// asking has one place, for the goroutine that asks the store.
func (g *Gateway) asking() chan struct{} {
	g.askOnce.Do(func() { g.ask = make(chan struct{}, 1) })
	return g.ask
}

// storeFault describes an error of a store without the names of files.
func storeFault(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, queue.ErrFull):
		return "the store is full"
	case errors.Is(err, queue.ErrReadOnly):
		return "the store is read-only"
	case errors.Is(err, queue.ErrUnavailable):
		return "the store cannot be reached"
	case errors.Is(err, queue.ErrClosed):
		return "the store is closed"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "the store does not answer"
	}
	return "the store cannot be written"
}

// health checks that the Listener is open.
func (d *Listener) health() HealthCheck {
	if d == nil {
		return checked("listener", "it is nil")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open && !d.now.stopped() {
		return checked("listener", "")
	}
	name := d.Address
	if d.Socket != nil {
		name = d.Socket.Addr().String()
	}
	return checked("listener", strings.TrimSpace(name+" is not open"))
}

// stopped reports whether Serve has returned.
func (t *acceptor) stopped() bool {
	select {
	case <-t.left:
		return true
	default:
		return false
	}
}

// Healthz is an http.HandlerFunc that reports whether the process is alive: 200 until
// Run has returned, then 503. It stays 200 during the start, a shutdown and a full disk,
// because a restart of the process would not help. The body is a Health as JSON.
func (g *Gateway) Healthz(w http.ResponseWriter, r *http.Request) {
	reason := ""
	if phase(g.phase.Load()) == ended {
		reason = phases[ended]
	}
	c := checked("relay", reason)
	Health{OK: c.OK, Checks: []HealthCheck{c}}.serve(w, r)
}

// Readyz is an http.HandlerFunc that reports whether the relay can accept mail: 200 if
// [Gateway.Health] is OK, otherwise 503. The body is that Health as JSON. It answers
// after at most five seconds.
func (g *Gateway) Readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	g.Health(ctx).serve(w, r)
}

// healthTimeout is the longest time of a check.
const healthTimeout = 5 * time.Second

func (h Health) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !h.OK {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(h) // an error means that the client has gone
}
