package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Gateway is a relay that runs. Queue must be set; every other field's zero
// value is a default. The fields must not change once Run was called.
type Gateway struct {
	// Doors are where mail comes in by SMTP. A relay may have none.
	Doors []*Door
	// Servers have no door, since their connections come from elsewhere, as
	// those that a routing.Fetcher has turned round. They end with the others.
	Servers []*smtpserver.Server
	// Queue delivers.
	Queue *queue.Queue
	// Tasks are what else runs: a web service, a routing.Fetcher, a pickup
	// directory, a wait for SIGHUP. A task ends when its ctx does. One that
	// returns an error before ends the Gateway; one that returns nil has done
	// its work.
	Tasks []func(ctx context.Context) error
	// Tracking, where it is set, gets the queue's events. While it cannot be
	// written (a full disk), mail goes on without. It has the Gateway's Logger
	// where it has none.
	Tracking *tracking.Log
	// Closers are closed at the very end in the order given, also when Run
	// fails: the routing.Router, the queue's Store, the protocol logs.
	Closers []io.Closer
	// Grace is how long the end may take: two thirds of it for the sessions,
	// the rest at least for the queue. Default 30 seconds. Less than the
	// 10 minutes that a sender is to wait for the answer to its data (RFC
	// 5321, 4.5.3.2.6) risks a duplicate for each attempt that is broken off.
	Grace time.Duration
	// Logger gets a line for each door that opens, and for the end; nil is
	// silent.
	Logger *slog.Logger
}

const defaultGrace = 30 * time.Second

// Run serves and delivers until ctx ends, and then comes to its end as the
// package's documentation says; it returns nil then, also if not all could be
// finished (the Logger is told). Otherwise it returns the error that ended it:
// of a socket, of the queue's store, of a task. It may be called once.
func (g *Gateway) Run(ctx context.Context) error {
	err := g.validate()
	if err == nil {
		err = g.listen()
	}
	if err != nil {
		return errors.Join(err, g.close())
	}
	run, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	stopTracking := g.track()
	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		if err := g.Queue.Run(context.WithoutCancel(ctx)); err != nil {
			fail(fmt.Errorf("gateway: %w", err))
		}
	}()
	var guests sync.WaitGroup // tasks, and later the ends of the doors
	for _, task := range g.Tasks {
		guests.Go(func() {
			if err := task(run); err != nil && !errors.Is(err, context.Canceled) {
				fail(err)
			}
		})
	}
	for _, d := range g.Doors {
		d.serve(fail)
		g.log(slog.LevelInfo, "listening", "connector", d.Server.Name, "address", d.Listener.Addr().String())
	}

	<-run.Done()
	err = context.Cause(run)
	if err == context.Cause(ctx) { // we were asked to
		err = nil
	}
	g.log(slog.LevelInfo, "stopping")
	err = errors.Join(err, g.finish(context.WithoutCancel(ctx), &guests, delivered))
	stopTracking()
	return errors.Join(err, g.close())
}

// validate says what is missing, before anything begins.
func (g *Gateway) validate() error {
	if g.Queue == nil {
		return errors.New("gateway: Gateway.Queue is not set")
	}
	for i, d := range g.Doors {
		switch {
		case d == nil || d.Server == nil:
			return fmt.Errorf("gateway: Doors[%d] has no Server", i)
		case d.Server.Handler == nil:
			return fmt.Errorf("gateway: the Server of Doors[%d] has no Handler: policy.Gate.Install sets it", i)
		}
	}
	if i := slices.Index(g.Closers, nil); i >= 0 {
		return fmt.Errorf("gateway: Closers[%d] is nil", i)
	}
	if g.Tracking != nil && g.Tracking.Dir == "" {
		return errors.New("gateway: Tracking has no Dir")
	}
	return nil
}

// listen opens all sockets, or none.
func (g *Gateway) listen() error {
	for i, d := range g.Doors {
		if err := d.listen(); err != nil {
			for _, d := range g.Doors[:i] {
				d.Listener.Close()
			}
			return err
		}
	}
	return nil
}

// track begins the tracking log. The function that it returns ends it.
func (g *Gateway) track() (stop func()) {
	if g.Tracking == nil {
		return func() {}
	}
	tracking := *g.Tracking
	if tracking.Logger == nil {
		tracking.Logger = g.Logger
	}
	events, done := g.Queue.Subscribe(0), make(chan struct{})
	go func() {
		defer close(done)
		tracking.Write(events) // its Logger is told what goes wrong
	}()
	return func() {
		events.Close()
		<-done
	}
}

// finish takes the time of Grace: the sessions and tasks come first, since
// what they bring goes into the queue.
func (g *Gateway) finish(ctx context.Context, guests *sync.WaitGroup, delivered <-chan struct{}) error {
	grace := g.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	last, cancel := context.WithTimeout(ctx, grace+lastMoment)
	defer cancel()
	all, cancel := context.WithTimeout(last, grace)
	defer cancel()
	soft, cancel := context.WithTimeout(all, grace*2/3)
	defer cancel()
	for _, d := range g.Doors {
		guests.Go(func() { g.late(d.close(soft)) })
	}
	for _, srv := range g.Servers {
		guests.Go(func() { g.late(shut(soft, srv)) })
	}
	gone := make(chan struct{})
	go func() {
		guests.Wait()
		close(gone)
	}()
	within(soft, gone)
	still := make(chan struct{})
	go func() {
		defer close(still)
		g.late(g.Queue.Shutdown(all))
		<-delivered
	}()
	var errs []error
	if !within(last, still) {
		errs = append(errs, errors.New("gateway: a delivery does not heed its context and has not ended"))
	}
	if !within(all, gone) {
		errs = append(errs, errors.New("gateway: a task, or an agent in a session, does not heed its context and has not ended"))
	}
	return errors.Join(errs...)
}

// lastMoment is for deliveries that are broken off to end.
const lastMoment = time.Second

// within waits for something to end while ctx lasts, and says whether it has.
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

// late tells of what was broken off.
func (g *Gateway) late(err error) {
	if err != nil {
		g.log(slog.LevelWarn, "stopped before all was finished: what the queue has stays in its store", "error", err)
	}
}

func (g *Gateway) close() error {
	var errs []error
	for _, c := range g.Closers {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

func (g *Gateway) log(level slog.Level, text string, args ...any) {
	if g.Logger != nil {
		g.Logger.Log(context.Background(), level, text, args...)
	}
}
