package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A Queue takes messages over, keeps them in its Store, and has its
// Deliverer deliver them until every recipient has ended: delivered, or its
// failure reported. Store and Deliverer must be set; every other field's zero
// value is a default. The fields must not change once Submit or Run was
// called. All methods are safe for concurrent use.
type Queue struct {
	Store     Store
	Deliverer Deliverer
	// Hostname names this MTA in reports. Default os.Hostname.
	Hostname string
	// Retry says when to try again and when to give up. Default
	// [Retry]{}, the figures of Exchange 2000.
	Retry RetryPolicy
	// Limits bound what is in hand at one time.
	Limits Limits
	// HopLimits, where it is set, has limits for single next hops; what they
	// leave zero is Limits.Hop's. It must be quick.
	HopLimits func(NextHop) HopLimits
	// Reports are the settings for delivery status notifications.
	Reports Reports
	// BadMail keeps a message that could neither be delivered nor reported to
	// the recipients that it has (a report that failed, mostly); it must be
	// safe where it is put when BadMail returns nil. The same message, by its
	// ID, may come twice. Default: it is kept in the Store for Limits.BadMail,
	// for an operator to look at ([MessageBad]). [BadMailDir] writes files.
	BadMail func(ctx context.Context, m *Message) error
	// Hooks see, and may change or refuse, every message before it is stored.
	Hooks []Hook
	// Logger gets a line for each message taken over, attempt and end; nil is
	// silent.
	Logger *slog.Logger

	once    sync.Once
	owner   string // of this Queue's leases
	host    string
	log     *slog.Logger
	retry   RetryPolicy
	limits  Limits
	pacer   Pacer           // the Deliverer, if it is one
	journal DeliveryJournal // the Store, if it is one
	ids     ids
	events  events
	frozen  atomic.Bool // by an operator: nothing is taken over

	running sync.Mutex    // guards what follows
	stopped chan struct{} // closed when Run has ended; nil before it begins
	abort   context.CancelFunc
	over    bool // Shutdown was called

	driver
	recorder recorder
}

// setup makes defaults of zero values, once.
func (q *Queue) setup() {
	q.once.Do(func() {
		q.ids.init()
		q.host = q.Hostname
		if q.host == "" {
			q.host, _ = os.Hostname()
		}
		if q.host == "" {
			q.host = "localhost"
		}
		q.owner = q.host + "/" + q.ids.next(time.Now())
		q.log = q.Logger
		if q.log == nil {
			q.log = slog.New(slog.DiscardHandler)
		}
		q.retry = q.Retry
		if q.retry == nil {
			q.retry = Retry{}
		}
		q.limits = q.Limits.withDefaults()
		q.pacer, _ = q.Deliverer.(Pacer)
		q.journal, _ = q.Store.(DeliveryJournal)
		q.core = sched.New(sched.Limits{Active: q.limits.Active, Memory: q.limits.Memory, Deliveries: q.limits.Deliveries,
			Rate: q.limits.Rate, Lease: q.limits.Lease}, sched.Key(suspendedHop), sched.Key(poisonHop), sched.Key(badMailHop))
		q.wake = make(chan struct{}, 1)
		q.recorder = newRecorder(q)
		if c, ok := q.Deliverer.(Changer); ok {
			c.OnChange(q.SettingsChanged)
		}
	})
}

var errNoStore = errors.New("queue: Queue.Store is not set")

// validate says which settings nothing can be delivered with.
func (q *Queue) validate() error {
	if q.Store == nil {
		return errNoStore
	}
	if q.Deliverer == nil {
		return errors.New("queue: Queue.Deliverer is not set")
	}
	if c, is := q.Deliverer.(Checker); is {
		if err := c.Check(); err != nil {
			return fmt.Errorf("queue: Queue.Deliverer: %w", err)
		}
	}
	for i, a := range q.Reports.CopyTo { // a report that is refused tells nobody
		if problem := badRecipient(a); problem != "" {
			return fmt.Errorf("queue: Reports.CopyTo[%d]: %q %s", i, a, problem)
		}
	}
	return nil
}

// Run delivers until Shutdown is called or ctx ends; it returns nil then, and
// otherwise the store's error that keeps it from working. It does not close
// the Store. When ctx ends, attempts in progress are broken off; Shutdown lets
// them finish. A Queue runs once.
func (q *Queue) Run(ctx context.Context) error {
	q.setup()
	if err := q.validate(); err != nil {
		return err
	}
	begun, err := q.prepare(ctx)
	if !begun {
		return err
	}
	defer close(q.stopped)
	defer q.abort()
	defer q.stop()
	return q.run(ctx)
}

// prepare prepares Run, once and unless Shutdown came first.
func (q *Queue) prepare(ctx context.Context) (begun bool, err error) {
	q.running.Lock()
	defer q.running.Unlock()
	if q.stopped != nil {
		return false, errors.New("queue: Run was called before")
	}
	if q.over {
		return false, nil
	}
	q.stopped = make(chan struct{})
	q.ctx, q.abort = context.WithCancel(ctx)
	q.step(func(core *sched.Scheduler) { core.Run() })
	return true, nil
}

// Shutdown stops claiming and lets attempts in progress finish. When ctx ends
// first they are broken off, and its error returned; what was not delivered
// stays in the store.
//
// An attempt that is broken off after the end of its data may have been taken
// by the next hop all the same; it is then sent again, and arrives twice. A
// sender is to wait 10 minutes for the answer there (RFC 5321, 4.5.3.2.6): the
// shorter ctx lasts, the likelier is a duplicate.
func (q *Queue) Shutdown(ctx context.Context) error {
	q.setup()
	q.running.Lock()
	q.over = true
	stopped, abort := q.stopped, q.abort
	q.running.Unlock()
	q.step(func(core *sched.Scheduler) { core.Stop() })
	if stopped == nil {
		return nil // it never ran
	}
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		abort()
		<-stopped
		return ctx.Err()
	}
}
