package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const defaultGrace = 8 * time.Second

// finish shuts down within Grace: first the sessions and tasks, because they
// add messages to the queue.
func (g *Gateway) finish(ctx context.Context, producers *sync.WaitGroup, delivered <-chan struct{}) error {
	grace := g.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	last, endLast := context.WithTimeout(ctx, grace+lastMoment)
	defer endLast()
	all, endAll := context.WithTimeout(last, grace)
	defer endAll()
	soft, cancel := context.WithTimeout(all, grace*2/3)
	defer cancel()
	defer g.abort.during(func() {
		g.log(slog.LevelWarn, "shutdown aborted: sessions and attempts are canceled")
		endAll()
	}, endLast)()
	for _, d := range g.Listeners {
		producers.Go(func() { g.late(d.close(soft)) })
	}
	for _, srv := range g.Servers {
		producers.Go(func() { g.late(shut(soft, srv)) })
	}
	done := make(chan struct{})
	go func() {
		producers.Wait()
		close(done)
	}()
	within(soft, done)
	still := make(chan struct{})
	go func() {
		defer close(still)
		g.late(g.Queue.Shutdown(all))
		<-delivered
	}()
	var errs []error
	if !within(last, still) {
		errs = append(errs, errors.New("gateway: a delivery still runs after its context was canceled"))
	}
	if !within(last, done) {
		errs = append(errs, errors.New("gateway: a task, or an agent in a session, still runs after its context was canceled"))
	}
	return errors.Join(errs...)
}

// lastMoment is the time that deliveries have to return after their context was
// canceled.
const lastMoment = time.Second

// within waits until ended is closed or ctx ends; it reports whether ended is
// closed.
func within(ctx context.Context, ended <-chan struct{}) bool {
	select {
	case <-ended:
	case <-ctx.Done():
	}
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// late logs that sessions or attempts were canceled.
func (g *Gateway) late(err error) {
	if err != nil {
		g.log(slog.LevelWarn, "shutdown canceled unfinished sessions or attempts; queued messages stay in the store", "error", err)
	}
}

func (g *Gateway) close() error {
	var errs []error
	for _, c := range g.Closers {
		if !isNil(c) {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
