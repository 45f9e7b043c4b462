package queue

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/settings"
	"github.com/bridgehead-mail/bridgehead/internal/wall"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A Queue stores messages in its Store and delivers them through its Deliverer
// until every recipient has ended: it is delivered, or its failure is reported.
// Store and Deliverer must be set. The zero value of each other field means its
// default. The fields must not change after the first call of a method. All
// methods are safe for concurrent use.
type Queue struct {
	Store     Store
	Deliverer Deliverer
	// Hostname is the name of this MTA, for reports and for the detection of
	// mail loops. Default: that of the gateway.Gateway. If there is none,
	// os.Hostname.
	Hostname string
	// Retry decides when to try again and when a message expires. Default
	// [Retry]{}, the values of Exchange 2000.
	Retry RetryPolicy
	// Limits are the limits for active messages, deliveries and leases.
	Limits Limits
	// HopLimits, if not nil, returns the limits of a next hop. A zero field
	// means the value of Limits.Hop. HopLimits must return quickly.
	HopLimits func(NextHop) HopLimits
	// Reports are the settings for delivery status notifications.
	Reports Reports
	// BadMail keeps a message that can be neither delivered nor reported.
	// Usually such a message is a report. m.Recipients are the recipients that
	// failed. When BadMail returns nil, the message must be on stable storage.
	// The Queue may pass the same message, with the same ID, twice. Default:
	// the Store keeps it as bad mail, and an operator can see it
	// ([MessageBad]). Limits.BadMail, Limits.BadMailBytes and
	// Limits.BadMailMessages apply. [BadMailDir] writes files.
	BadMail func(ctx context.Context, m *Message) error
	// FinalResults, if set, gets the final result of each recipient at least
	// once, before the message is removed from the Store, also if the process
	// dies in between. An application can use it for a table of the delivery
	// results. rcpts are one or more recipients of m that have ended; their
	// Status and Last are the result. FinalResults is called concurrently for
	// different messages, and for different recipients of one message. It must
	// not change m or rcpts, and must not read other recipients of m. Expanded
	// recipients and messages of the Queue itself (Message.System) have no
	// result. The Queue still sends delivery reports; to prevent that, leave
	// m.From empty or set NOTIFY=NEVER (RcptOptions).
	//
	// If FinalResults returns an error, the Queue calls it again: first after 5
	// seconds, then after doubling intervals of up to one hour. After 128
	// failed calls (about five days), it logs an error and does not pass the
	// result again. Until then the message stays in the Store
	// ([MessageResults]). Other mail is delivered meanwhile: the calls use at
	// most a tenth of the delivery slots (Limits.Deliveries). A call is
	// canceled after one minute. The context of a call ends with the Queue.
	FinalResults func(ctx context.Context, m *Message, rcpts []*Recipient) error
	// Hooks are called with each message before it is stored. They can change
	// or refuse it. They are called concurrently for different messages.
	Hooks []Hook
	// Logger gets a line for each [Event] and for each problem. Default: that
	// of the gateway.Gateway. If there is none, nothing is logged.
	Logger *slog.Logger
	// Clock is for the tests of this module: they set the wall clock. The
	// default is the clock of the system.
	Clock *wall.Clock

	inheriting sync.Mutex // guards Hostname and Logger, see Inherit

	once       sync.Once
	owner      string // of this Queue's leases
	host       string
	log        *slog.Logger
	clock      clock
	retry      RetryPolicy
	limits     Limits
	pacer      Pacer           // the Deliverer, if it is a Pacer
	releaseHop func(NextHop)   // calls Release of the Deliverer; nil if it is no Releaser
	journal    DeliveryJournal // the Store, if it is a DeliveryJournal
	leases     LeaseGuard      // the Store, if it is a LeaseGuard
	node       node            // of a Cluster
	susp       suspensions
	ids        ids
	events     events
	counts     counts
	totals     totals
	badMail    badMail
	invalid    error // of Validate, without Checker

	frozen   atomic.Bool  // by an operator: Submit refuses all mail
	draining atomic.Int32 // calls of Drain
	down     atomic.Bool  // Shutdown was called or Run has ended: Submit refuses all mail

	storeClosed     chan struct{} // closed by noteClosed
	storeClosedOnce sync.Once

	running sync.Mutex    // guards the fields below, up to over
	stopped chan struct{} // closed when Run has ended; nil before it begins
	abort   context.CancelFunc
	over    bool // Shutdown was called

	driver
	recorder recorder
}

// setup replaces zero values by their defaults. Only the first call has an
// effect.
func (q *Queue) setup() {
	q.once.Do(func() {
		q.invalid = q.validate()
		q.storeClosed = make(chan struct{})
		if settings.IsNil(q.Store) {
			q.Store = noStore{}
		}
		q.ids.init()
		q.counts.init()
		q.totals.counting = make(chan struct{}, 1)
		q.clock.start(q.Clock)
		q.inheriting.Lock()
		q.host, q.log = q.Hostname, q.Logger
		q.inheriting.Unlock()
		if q.host == "" {
			q.host, _ = os.Hostname()
		}
		if q.host == "" {
			q.host = "localhost"
		}
		q.owner = q.host + "/" + q.ids.next(q.clock.wall())
		if q.log == nil {
			q.log = slog.New(slog.DiscardHandler)
		}
		q.retry = q.Retry
		if settings.IsNil(q.retry) {
			q.retry = Retry{}
		}
		q.node = node{q: q, more: make(chan struct{}, 1), share: make(chan struct{}, 1)}
		q.node.cluster, _ = q.Store.(Cluster)
		q.leases, _ = q.Store.(LeaseGuard)
		q.limits = q.Limits.withDefaults(q.node.cluster != nil)
		q.badMail.bytes, q.badMail.messages = q.limits.BadMailBytes, q.limits.BadMailMessages
		q.pacer, _ = q.Deliverer.(Pacer)
		q.releaseHop = q.releaser()
		q.journal, _ = q.Store.(DeliveryJournal)
		q.susp.store, _ = q.Store.(SuspensionStore)
		q.core = sched.New(sched.Limits{Active: q.limits.Active, Memory: q.limits.Memory, Deliveries: q.limits.Deliveries,
			Rate: q.limits.Rate, Lease: q.limits.Lease}, sched.Key(suspendedHop), sched.Key(poisonHop), sched.Key(badMailHop))
		if q.node.cluster != nil {
			if q.node.sharer, _ = q.Store.(LimitSharer); q.node.sharer != nil {
				q.core.ShareLimits(sched.Key(finalHop))
			}
		}
		q.wake = make(chan struct{}, 1)
		q.recorder = newRecorder(q)
		if c, ok := q.Deliverer.(Changer); ok && !settings.IsNil(c) {
			c.OnChange(q.SettingsChanged)
		}
	})
}

// Run delivers messages until Shutdown is called or ctx ends, and then returns
// nil. It returns the error of Validate at once, and later only ErrClosed, as
// soon as the Store is closed (see [CloseNotifier]). It then cancels the
// attempts in progress. It does not close the Store. When ctx
// ends, attempts in progress are canceled; Shutdown waits for them. A Queue can
// run only once: a second call returns an error.
func (q *Queue) Run(ctx context.Context) error {
	q.setup()
	if err := errors.Join(q.invalid, q.checkDeliverer()); err != nil {
		return err
	}
	begun, err := q.prepare(ctx)
	if !begun {
		return err
	}
	defer close(q.stopped)
	defer q.abort()
	defer q.node.begin(q.ctx)()
	defer q.stop()
	if err = q.awaitSuspensions(ctx); err == nil {
		q.step(func(core *sched.Scheduler) { core.Run() })
		err = q.run(ctx)
	}
	q.down.Store(true)
	if errors.Is(err, ErrClosed) {
		q.abort() // no result of an attempt can be recorded
	}
	return err
}

// prepare prepares Run. begun is false if Run or Shutdown was called before.
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
	ctx, q.abort = context.WithCancel(ctx)
	early, cancel := context.WithCancel(ctx)
	q.ctx, q.cancelEarly = context.WithValue(ctx, earlyKey{}, early), cancel
	q.hurryCtx = context.WithValue(q.ctx, hurryKey{}, true)
	return true, nil
}

// Shutdown stops claiming messages and waits for the attempts in progress. If
// ctx ends first, it cancels them and returns the error of ctx. Messages that
// were not delivered stay in the store. If ctx has a deadline, an attempt that
// has not sent the end of data is canceled earlier: when a quarter of the time
// until the deadline is over (see [Early]).
//
// If an attempt is canceled after the end of data, the next hop may have
// accepted the message. The Queue then sends it again, and it arrives twice. A
// client waits up to 10 minutes for the reply to the end of data (RFC 5321,
// 4.5.3.2.6). A duplicate is more likely if the time of ctx is short.
func (q *Queue) Shutdown(ctx context.Context) error {
	q.setup()
	q.down.Store(true)
	q.running.Lock()
	q.over = true
	stopped, abort, cancelEarly := q.stopped, q.abort, q.cancelEarly
	q.running.Unlock()
	q.step(func(core *sched.Scheduler) { core.Stop() })
	if stopped == nil {
		return nil // it never ran
	}
	if end, ok := ctx.Deadline(); ok {
		early := time.AfterFunc(time.Until(end)/4, cancelEarly)
		defer early.Stop()
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
