package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A Suspension keeps the mail for a next hop, or for all next hops of a domain,
// in the queue until it is lifted or ends. [Queue.Suspend] adds one. (The
// function [Suspend] suspends single messages.)
type Suspension struct {
	// Hop is the next hop that is suspended.
	Hop NextHop
	// Domain suspends all next hops whose Destination is this domain, with
	// any connector, also those that do not exist yet. Letter case and the
	// form of an internationalized domain do not matter. Subdomains are not
	// included. Mail that goes through smart hosts has their name as its
	// Destination: suspend that hop instead. Exactly one of Hop and Domain must
	// be set.
	Domain string
	// Reason says why, and By who suspended it. If By is empty, both are those
	// of the context (WithOperator). Reason has at most 1024 bytes, By 256.
	Reason, By string
	// Since is when the suspension began. Suspend sets it.
	Since time.Time
	// Until is when the suspension ends by itself, by the wall clock. Zero
	// means that it does not end until it is lifted.
	Until time.Time
	// Volatile is true if the Store cannot keep suspensions. The suspension
	// then ends with the process. Suspend sets it.
	Volatile bool
}

// MaxSuspensions is the maximum number of suspensions of a Queue at one time.
const MaxSuspensions = 10_000

// ErrNoSuspension is the error of Lift if there is no such suspension.
var ErrNoSuspension = errors.New("queue: no such suspension")

// A SuspensionStore is a Store that keeps suspensions. The Queue reads them
// before Run delivers the first message. Without it, suspensions end with the
// process.
type SuspensionStore interface {
	// PutSuspension stores a suspension. It replaces one with the same Hop and
	// Domain. When it returns nil, the suspension is on stable storage. After an
	// error, the suspensions are as before, but after a restart they may include
	// the new one. All fields are kept as they are, except Volatile. Times are
	// kept as instants, with a resolution of a microsecond. If there are
	// MaxSuspensions already, PutSuspension can replace one of them, but it
	// returns ErrFull instead of adding one.
	PutSuspension(ctx context.Context, s Suspension) error
	// RemoveSuspension removes the suspension with the Hop, the Domain and the
	// Since of s. If there is none, or one that began at another time has
	// replaced it, RemoveSuspension changes nothing and returns nil. When it
	// returns nil, the suspension does not come back after a crash.
	RemoveSuspension(ctx context.Context, s Suspension) error
	// Suspensions returns all suspensions, in any order.
	Suspensions(ctx context.Context) ([]Suspension, error)
}

// String returns the domain or the next hop that is suspended.
func (s *Suspension) String() string {
	if s.Domain != "" {
		return s.Domain
	}
	return s.Hop.String()
}

// ended reports whether the suspension has ended.
func (s *Suspension) ended(wall time.Time) bool { return !s.Until.IsZero() && !s.Until.After(wall) }

// suspended identifies a suspension.
type suspended struct {
	hop    NextHop
	domain string // in canonical form
}

func (s *Suspension) key() suspended { return suspended{s.Hop, addr.FoldDomain(s.Domain)} }

// suspensions are the suspensions of a Queue. The Queue has all of them in
// memory. The scheduler knows which hops and domains they suspend.
type suspensions struct {
	store SuspensionStore // nil: the Store is none

	change sync.Mutex // lets one change at a time, and guards loaded
	loaded bool

	list suspensionList // guarded by the lock of the Queue
}

type suspensionList map[suspended]Suspension

// Suspend suspends a next hop or a domain, and returns the suspension as it is
// listed. It replaces an earlier suspension of the same hop or domain. Attempts
// in progress continue, and no new attempt begins. Mail that waits expires when
// its time is over, as it does otherwise. [Queue.Lift] ends the suspension.
//
// If the Store is a [SuspensionStore], the suspension survives restarts: it is
// on stable storage when Suspend returns nil. If the Store returns an error,
// nothing is suspended. Suspend returns ErrFull if there are [MaxSuspensions].
func (q *Queue) Suspend(ctx context.Context, s Suspension) (Suspension, error) {
	q.setup()
	s, err := q.newSuspension(ctx, s)
	if err != nil {
		return Suspension{}, err
	}
	q.susp.change.Lock()
	defer q.susp.change.Unlock()
	if err := q.loadSuspensions(ctx); err != nil {
		return Suspension{}, err
	}
	if err := q.storeSuspension(ctx, &s); err != nil {
		return Suspension{}, fmt.Errorf("queue: %s is not suspended: %w", &s, err)
	}
	q.suspend(s)
	q.node.notify(Notice{Kind: NoticeSuspensions})
	q.emitSuspension(&s, "suspend", s.operator())
	return s, nil
}

// newSuspension checks a suspension and sets the fields that Suspend sets.
func (q *Queue) newSuspension(ctx context.Context, s Suspension) (Suspension, error) {
	if by := operatorOf(ctx); s.By == "" {
		s.By, s.Reason = by.by, cmp.Or(s.Reason, by.reason)
	}
	s.Since, s.Until, s.Volatile = q.clock.wall().Round(0).Truncate(time.Microsecond).UTC(), s.Until.Round(0).Truncate(time.Microsecond), false
	s.Domain = strings.TrimSuffix(s.Domain, ".")
	domain := addr.FoldDomain(s.Domain)
	_, err := addr.Domain(s.Domain)
	switch {
	case (s.Hop == NextHop{}) == (s.Domain == ""):
		return s, errors.New("queue: a Suspension needs a Hop or a Domain, and not both")
	case aside(s.Hop):
		return s, fmt.Errorf("queue: %s is not a next hop: it has messages that are set aside", s.Hop)
	case s.Domain != "" && err != nil:
		return s, fmt.Errorf("queue: %q cannot be suspended: %w", s.Domain, err)
	case len(s.Hop.Connector)+len(s.Hop.Destination) > maxHopName:
		return s, fmt.Errorf("queue: the names of a next hop have more than %d bytes", maxHopName)
	case len(s.Reason) > 1024 || len(s.By) > 256:
		return s, errors.New("queue: the Reason of a Suspension has more than 1024 bytes, or By has more than 256")
	case s.ended(s.Since):
		return s, fmt.Errorf("queue: the suspension of %s would end at %s, which is in the past", &s, s.Until.Format(time.RFC3339))
	}
	if s.Domain != "" {
		s.Domain = domain
	}
	return s, nil
}

// maxHopName limits the names of a suspended next hop, in bytes.
const maxHopName = 1024

// storeSuspension stores a suspension if the Store can.
func (q *Queue) storeSuspension(ctx context.Context, s *Suspension) error {
	if q.susp.store != nil {
		err := q.susp.store.PutSuspension(ctx, *s)
		q.noteClosed(err)
		return err
	}
	s.Volatile = true
	n, replaces := 0, false
	q.locked(func(*sched.Scheduler) {
		n = len(q.susp.list)
		_, replaces = q.susp.list[s.key()]
	})
	if n >= MaxSuspensions && !replaces {
		return ErrFull
	}
	return nil
}

// Lift ends the suspension of s.Hop or s.Domain, and its mail is delivered. The
// other fields of s are ignored, except By and Reason, which say who lifts it
// and why. If By is empty, both are those of the context (WithOperator). Lift
// returns ErrNoSuspension if there is none. After any other error of the Store,
// the suspension has ended, but may come back after a restart, and on a [Cluster]
// after a few seconds; call Lift again.
func (q *Queue) Lift(ctx context.Context, s Suspension) error {
	q.setup()
	by := s.operator()
	if s.By == "" {
		by = operatorOf(ctx)
	}
	q.susp.change.Lock()
	defer q.susp.change.Unlock()
	if err := q.loadSuspensions(ctx); err != nil {
		return err
	}
	s.Domain = strings.TrimSuffix(s.Domain, ".")
	found, err := q.findSuspension(ctx, s.key())
	if err != nil {
		return err
	}
	q.resume(found.key())
	q.emitSuspension(&found, "resume", by)
	if q.susp.store == nil {
		return nil
	}
	if err := q.susp.store.RemoveSuspension(ctx, found); err != nil {
		q.noteClosed(err)
		return fmt.Errorf("queue: %s is resumed, but will be suspended again after a restart: %w", &found, err)
	}
	q.node.notify(Notice{Kind: NoticeSuspensions})
	return nil
}

// findSuspension returns the suspension of that key. After an error of Lift,
// only the Store has it.
func (q *Queue) findSuspension(ctx context.Context, key suspended) (s Suspension, err error) {
	found := false
	q.locked(func(*sched.Scheduler) { s, found = q.susp.list[key] })
	if found {
		return s, nil
	}
	if q.susp.store != nil {
		all, err := q.susp.store.Suspensions(ctx)
		if err != nil {
			return s, err
		}
		if i := slices.IndexFunc(all, func(s Suspension) bool { return s.key() == key }); i >= 0 {
			return all[i], nil
		}
	}
	return s, ErrNoSuspension
}

// Suspensions lists the suspensions that apply now, in the order of their domain or
// destination.
func (q *Queue) Suspensions(ctx context.Context) ([]Suspension, error) {
	q.setup()
	q.susp.change.Lock()
	err := q.loadSuspensions(ctx)
	q.susp.change.Unlock()
	if err != nil {
		return nil, err
	}
	var all []Suspension
	wall := q.clock.wall()
	q.locked(func(*sched.Scheduler) {
		for _, s := range q.susp.list {
			if !s.ended(wall) {
				all = append(all, s)
			}
		}
	})
	slices.SortFunc(all, func(a, b Suspension) int {
		return cmp.Or(strings.Compare(cmp.Or(a.Domain, a.Hop.Destination), cmp.Or(b.Domain, b.Hop.Destination)),
			strings.Compare(a.Domain, b.Domain), strings.Compare(a.Hop.Connector, b.Hop.Connector))
	})
	return all, nil
}
