package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/live"
	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Gateway runs a relay. Queue must be set; all other fields are optional. The
// fields must not change after the first call of Run, Validate or Check.
//
// The parts of a Gateway are the servers with their agents, the queue with its
// Store and its Deliverer, Tracking, Closers, and Parts. A part that has no
// Hostname, Logger or Resolver of its own inherits that of the Gateway. A part
// that has a value of its own keeps it. Run, Validate and Check set these
// fields of the parts before anything runs. A part must therefore not be in use
// before the first of these calls. The servers of Listeners and Servers also
// share one smtpserver.LoginLimit, unless they have one of their own.
type Gateway struct {
	// Hostname is the name of the relay: in banner, EHLO, trace fields, reports
	// and logs. Other hosts should find it in the DNS, as the name of the
	// address from which the relay sends. Default: the name of the system, which
	// Run logs.
	Hostname string
	// Logger gets the log lines of all parts that have no Logger. The Gateway
	// itself logs each listener that opens, warnings about the settings, and the
	// shutdown. The level of each part can be changed while the relay runs: see
	// [Gateway.Levels]. If Logger is nil, nothing is logged.
	Logger *slog.Logger
	// Resolver looks up names in the DNS for all parts that have no Resolver:
	// the agents that query the DNS and the routing.Router. Default: each part
	// has its own default.
	Resolver Resolver

	// Listeners receive mail by SMTP. A relay may have none.
	Listeners []*Listener
	// Servers have no listener. Their connections come from another source, for
	// example a routing.Fetcher in Tasks. They must not serve before Run has
	// begun, because Run sets the settings that they inherit. To be sure, wait
	// for [Gateway.Ready]. They are shut down together with the Listeners.
	Servers []*smtpserver.Server
	// Queue delivers the messages. It must be set.
	Queue *queue.Queue
	// ContentBudget limits the bytes of all unfinished messages together. The
	// servers that have none get it. Default: a budget of 256 MiB.
	ContentBudget *smtpserver.ContentBudget
	// Tasks are functions that run together with the Gateway, for example a web
	// service, a routing.Fetcher, a pickup folder, or a SIGHUP handler. A task
	// must return when its ctx ends. If it returns an error before that, the
	// Gateway shuts down, and Run returns the error. A task that returns nil
	// earlier is complete, and the Gateway continues.
	Tasks []func(ctx context.Context) error
	// Tracking, if set, records the events of the queue, and the mail that the
	// servers refuse, discard or quarantine: see policy.MailTracker. Servers that
	// have an Observe of their own keep it. If the log cannot be written (for
	// example because the disk is full), mail is still delivered.
	Tracking *tracking.Log
	// Parts are other parts of the relay that inherit settings, for example a
	// pickup.Folder, a routing.Fetcher in Tasks or a console.Console. Validate
	// calls their method Validate if they have one, and Health their method Health.
	Parts []Inheritor
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

	abort  abortSignal
	ready  event
	memory atomic.Int64 // the memory limit: see MemoryInForce
	began  atomic.Bool  // Run was called
	phase  atomic.Int32
	since  atomic.Int64 // when the phase running began, in Unix nanoseconds

	askOnce sync.Once
	ask     chan struct{} // see asking

	once   sync.Once // sets Hostname and shared
	shared shared
	mail   *policy.MailTracker // nil without Tracking

	sessions live.Group // of all servers

	levelsOnce sync.Once // sets levels
	levels     site.Levels
}

// Run serves and delivers until ctx ends. It then shuts down as described in
// the documentation of the package, and returns nil. If it must cancel sessions
// or attempts, it logs this and still returns nil. If a socket, the queue's
// store or a task fails, Run shuts down and returns that error. If
// [Gateway.Validate] returns an error, Run closes the Closers and returns that
// error at once. Run may be called only once: a second call returns an error.
func (g *Gateway) Run(ctx context.Context) error {
	if g.began.Swap(true) {
		return errors.New("gateway: Run was called before")
	}
	defer g.enter(ended)
	g.enter(starting)
	g.inherit()
	found := g.validate()
	g.warn(found)
	err := found.errs()
	if err == nil {
		err = g.listen()
	}
	if err != nil {
		return errors.Join(err, g.close())
	}
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
	g.since.Store(time.Now().UnixNano())
	g.enter(running)
	g.ready.set()

	select {
	case <-run.Done():
	case <-g.abort.done():
		fail(context.Canceled)
	}
	err = context.Cause(run)
	if err == context.Cause(ctx) || err == context.Canceled { // a shutdown, not a failure
		err = nil
	}
	g.enter(stopping)
	g.log(slog.LevelInfo, "stopping")
	err = errors.Join(err, g.finish(context.WithoutCancel(ctx), &producers, delivered))
	stopTracking()
	return errors.Join(err, g.close())
}

// listen opens all sockets, or none.
func (g *Gateway) listen() error {
	sockets := g.sockets()
	for i, all := range sockets {
		if err := all[0].listen(); err != nil {
			for _, earlier := range sockets[:i] {
				earlier[0].Socket.Close()
			}
			return err
		}
	}
	for _, all := range sockets {
		if all[0].RemoteNetworks != nil || len(all) > 1 {
			g.share(all[0].Socket, all)
		}
	}
	return nil
}

// track starts the tracking log. stop ends it.
func (g *Gateway) track() (stop func()) {
	if g.Tracking == nil {
		return func() {}
	}
	events, done := g.Queue.Subscribe(0), make(chan struct{})
	go func() {
		defer close(done)
		g.Tracking.Write(events) // logs its errors
	}()
	return func() {
		g.mail.Flush()
		events.Close()
		<-done
	}
}

func (g *Gateway) log(level slog.Level, text string, args ...any) {
	if log := g.shared.Logger; log != nil {
		log.Log(context.Background(), level, text, args...)
	}
}
