package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/live"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// An Exporter exports the statistics of a Gateway. It is an http.Handler. Gateway must
// be set. The fields must not change after the first call of a method. All methods are
// safe for concurrent use.
type Exporter struct {
	Gateway *gateway.Gateway
	// NextHops adds the metrics next_hop_messages, next_hop_bytes and
	// next_hop_oldest_seconds, with the labels connector and destination, for the
	// next hops that have the most messages. At most 20 are exported. Default 0:
	// none, because each next hop that was ever among them makes series that the
	// monitoring system keeps.
	NextHops int
	// Timeout is the maximum duration of a scrape. What could not be read until then
	// is missing in the result, and counted in scrape_errors_total. Default 5
	// seconds; a scrape of Prometheus may take 10.
	Timeout time.Duration
	// Scrapes is the maximum number of scrapes at the same time. A further one is
	// refused with 503. Default 4.
	Scrapes int
	// Logger gets a line for each scrape that is incomplete. If it is nil, nothing is
	// logged.
	Logger *slog.Logger

	once   sync.Once
	places chan struct{} // one for each scrape
	errors atomic.Int64
	hops   nextHops
}

const (
	defaultTimeout = 5 * time.Second
	defaultScrapes = 4
	maxNextHops    = 20
)

// ErrBusy is the error of Gather if Exporter.Scrapes calls are in progress.
var ErrBusy = errors.New("metrics: too many scrapes at the same time")

// Gather returns all metrics, in the order of the documentation of the package. If some
// could not be read, it returns the others and an error. Before Gateway.Run it returns
// only what does not need the queue. A family may have no samples.
func (e *Exporter) Gather(ctx context.Context) ([]Family, error) {
	if e.Gateway == nil {
		return nil, errors.New("metrics: Exporter.Gateway is not set")
	}
	e.once.Do(func() {
		e.places = make(chan struct{}, positive(e.Scrapes, defaultScrapes))
		e.hops.place = make(chan struct{}, 1)
	})
	select {
	case e.places <- struct{}{}:
		defer func() { <-e.places }()
	default:
		return nil, ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, positive(e.Timeout, defaultTimeout))
	defer cancel()
	var b builder
	var errs []error
	collect := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("metrics: %s: %w", what, err))
		}
	}
	e.process(ctx, &b)
	smtpd(&b, e.Gateway.ServerCounters())
	if !e.Gateway.StartTime().IsZero() { // before that, Run may still set the limits of the Queue
		collect("queue", e.queue(ctx, &b))
		e.store(&b)
		collect("nodes", e.nodes(ctx, &b))
		collect("next hops", e.nextHop(ctx, &b))
	}
	if s := e.sender(); s != nil {
		smtp(&b, s.Counters())
	}
	e.errors.Add(int64(len(errs)))
	scrapeErrors(&b, e.errors.Load())
	return b.families, errors.Join(errs...)
}

func scrapeErrors(b *builder, n int64) {
	b.add("scrape_errors_total", Counter, "Parts of scrapes that could not be read.", value(n))
}

// Describe returns the families that Gather can return, without samples. It is for
// programs that must know them before the relay runs.
func (e *Exporter) Describe() []Family {
	var b builder
	process(&b, time.Time{}, nil, nil)
	smtpd(&b, smtpserver.Counters{})
	totals(&b, queue.Totals{})
	counts(&b, queue.Counters{})
	storeStats(&b, queue.StoreStats{})
	nodeStats(&b, nil)
	nextHopStats(&b, nil)
	smtp(&b, live.SendCounters{})
	scrapeErrors(&b, 0)
	for i := range b.families {
		b.families[i].Samples = nil
	}
	return b.families
}

// positive returns v, or the default if v is not positive.
func positive[N int | time.Duration](v, def N) N {
	if v > 0 {
		return v
	}
	return def
}

// ServeHTTP writes the metrics as text, in the format that the client prefers: see
// [Negotiate]. If some metrics could not be read, it writes the others.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	families, err := e.Gather(r.Context())
	if err != nil && e.Logger != nil {
		e.Logger.Warn("metrics: a scrape is incomplete", "error", err)
	}
	if families == nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "the metrics cannot be read now", http.StatusServiceUnavailable)
		return
	}
	f := Negotiate(r.Header.Get("Accept"))
	w.Header().Set("Content-Type", f.ContentType())
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept")
	f.Write(w, families) // an error means that the client has gone
}
