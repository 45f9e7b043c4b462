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

// A Gateway runs a relay. Queue must be set; all other fields are optional. The
// fields must not change once Run was called.
//
// The servers of Listeners and Servers share one smtpserver.LoginLimit, unless
// they have one of their own.
type Gateway struct {
	// Listeners receive mail by SMTP. A relay may have none.
	Listeners []*Listener
	// Servers have no listener. Their connections come from another source,
	// for example a routing.Fetcher in Tasks. They must not serve before Run
	// begins, because it sets their defaults. They are shut down together with
	// the Listeners.
	Servers []*smtpserver.Server
	// Queue delivers the messages. It must be set.
	Queue *queue.Queue
	// ContentBudget limits the bytes of all unfinished messages together. The
	// servers that have none get it. Default: a budget of 256 MiB.
	ContentBudget *smtpserver.ContentBudget
	// Tasks are functions that run together with the Gateway, for example a web
	// service, a routing.Fetcher, a pickup folder, or a SIGHUP handler. A task
	// must return when its ctx ends. If it returns an error before that, the
	// Gateway shuts down. It may return nil at any time.
	Tasks []func(ctx context.Context) error
	// Tracking, if set, records the events of the queue. If it cannot be
	// written (for example because the disk is full), mail is still delivered.
	// If it has no Logger, it uses that of the Gateway.
	Tracking *tracking.Log
	// Closers are closed at the end, in the order given, also when Run fails.
	// Examples are the routing.Router, the queue's Store and the protocol logs.
	Closers []io.Closer
	// Grace is the maximum duration of the shutdown: two thirds of it for the
	// sessions, at least one third for the queue. Attempts that have not sent
	// the end of data get a quarter of the queue's time. Default 8 seconds,
	// because docker stop kills a process after 10. An attempt that is canceled
	// after the end of data may cause a duplicate message. Only a Grace of more
	// than 10 minutes (RFC 5321, 4.5.3.2.6) prevents this.
	Grace time.Duration
	// MemoryLimit is the memory in bytes that the process may use. Limits of the
	// servers and of the queue that are not set follow from it, so that a relay
	// in a small container refuses mail with 4xx instead of being killed:
	// smtpserver.Limits.Connections, TotalMemory and MemoryContent, and
	// queue.Limits.Memory, Active and Deliveries. They become smaller than their
	// usual defaults below about 2.5 GiB. When 80 percent of the memory of Go's
	// runtime is in use, MAIL is refused with 452 4.3.1. Run sets the limit of
	// the runtime (debug.SetMemoryLimit) to three quarters of MemoryLimit, unless
	// the environment variable GOMEMLIMIT or the program has set it; when Run
	// returns, the runtime has no limit again. Default: the limit of the
	// container (cgroup v1 or v2) or GOMEMLIMIT, whichever is smaller; if there
	// is none, nothing changes. A negative value means no limit. To set the
	// limits of the queue, Run must be called before any method of the Queue.
	MemoryLimit int64
	// Logger gets a line for each listener that opens, and for the shutdown.
	// If it is nil, nothing is logged.
	Logger *slog.Logger

	abort abortSignal
}

const defaultGrace = 8 * time.Second

// Run serves and delivers until ctx ends. It then shuts down as described in
// the documentation of the package, and returns nil. If it must cancel sessions
// or attempts, it logs this and still returns nil. If a socket, the queue's
// store or a task fails, Run shuts down and returns that error. It may be
// called once.
func (g *Gateway) Run(ctx context.Context) error {
	err := g.validate()
	if err == nil {
		err = g.listen()
	}
	if err != nil {
		return errors.Join(err, g.close())
	}
	g.logLosses()
	defaults, undo := g.setDefaults()
	defer undo()
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
	var producers sync.WaitGroup // what adds messages: tasks, and during the shutdown the sessions
	for _, task := range g.Tasks {
		producers.Go(func() {
			if err := task(run); err != nil && !errors.Is(err, context.Canceled) {
				fail(err)
			}
		})
	}
	for _, d := range g.Listeners {
		d.serve(defaults, fail)
		g.log(slog.LevelInfo, "listening", "connector", d.Server.Name, "address", d.Socket.Addr().String())
	}

	select {
	case <-run.Done():
	case <-g.abort.done():
		fail(context.Canceled)
	}
	err = context.Cause(run)
	if err == context.Cause(ctx) || err == context.Canceled { // a shutdown, not a failure
		err = nil
	}
	g.log(slog.LevelInfo, "stopping")
	err = errors.Join(err, g.finish(context.WithoutCancel(ctx), &producers, delivered))
	stopTracking()
	return errors.Join(err, g.close())
}

// logLosses gives the protocol logs a Logger, so that the loss of lines is seen.
func (g *Gateway) logLosses() {
	for _, c := range g.Closers {
		if w, ok := c.(*smtpserver.ProtocolLogWriter); ok && w.Logger == nil {
			w.Logger = g.Logger
		}
	}
}

// validate returns an error if a required field is not set.
func (g *Gateway) validate() error {
	if g.Queue == nil {
		return errors.New("gateway: Gateway.Queue is not set")
	}
	for i, d := range g.Listeners {
		switch {
		case d == nil || d.Server == nil:
			return fmt.Errorf("gateway: Listeners[%d] has no Server", i)
		case d.Server.Handler == nil:
			return fmt.Errorf("gateway: the Server of Listeners[%d] has no Handler: policy.Gate.Install sets it", i)
		}
	}
	if i := slices.Index(g.Closers, nil); i >= 0 {
		return fmt.Errorf("gateway: Closers[%d] is nil", i)
	}
	if g.Tracking != nil && g.Tracking.Dir == "" {
		return errors.New("gateway: Tracking.Dir is not set")
	}
	return nil
}

// listen opens all sockets, or none.
func (g *Gateway) listen() error {
	for i, d := range g.Listeners {
		if err := d.listen(); err != nil {
			for _, d := range g.Listeners[:i] {
				d.Socket.Close()
			}
			return err
		}
	}
	return nil
}

// track starts the tracking log. stop ends it.
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
		tracking.Write(events) // logs its errors
	}()
	return func() {
		events.Close()
		<-done
	}
}

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
