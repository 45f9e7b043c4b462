package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/counters"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Limits of a group of new messages. A group does not wait for more messages: while others
// are being committed, the next one collects.
const (
	committers    = 3 // groups at the same time
	groupMessages = 100
	groupBytes    = 4 << 20
	largePuts     = 2 // large messages at the same time
)

// puts has the calls of Put that wait for a group.
type puts struct {
	large chan struct{} // has an element for each large message that is being sent
	open  openPuts

	mu      sync.Mutex
	changed sync.Cond // waiting or closed has changed; uses mu
	waiting []*put    // guarded by mu, like all below
	busy    int       // committers with a group
	sending int       // large messages that are being sent
	closed  bool
}

// startPuts starts the goroutines that commit groups.
func (s *Store) startPuts(context.Context) error {
	s.puts.changed.L = &s.puts.mu
	s.puts.large = make(chan struct{}, largePuts)
	s.stats.messages.Scale = counters.Powers
	var running sync.WaitGroup
	for range committers {
		running.Add(1)
		s.background(func(ctx context.Context) {
			defer running.Done()
			for {
				ps := s.puts.take()
				if ps == nil {
					return
				}
				s.commit(ctx, ps)
			}
		})
	}
	s.atClose(func(ctx context.Context) error {
		s.puts.close()
		return waitFor(ctx, &running)
	})
	return nil
}

// waitFor waits until wg is done or ctx ends.
func waitFor(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the last changes may not be recorded", queue.ErrUnavailable)
	}
}

// add adds p to the calls that wait.
func (q *puts) add(p *put) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return queue.ErrClosed
	}
	q.waiting = append(q.waiting, p)
	q.changed.Signal()
	return nil
}

// begin announces a large message, and end its end.
func (q *puts) begin() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return queue.ErrClosed
	}
	q.sending++
	return nil
}

func (q *puts) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending--
	q.changed.Broadcast()
}

// ask adds a large message whose outcome is unknown, between begin and end.
func (q *puts) ask(p *put) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, p)
	q.changed.Signal()
}

// take waits for calls, and returns those of a group. It returns nil when the Store is
// closed and no call waits.
func (q *puts) take() []*put {
	// Callers whose group has just ended may have another message at once. Without this
	// it would miss the next group, and groups would be smaller.
	runtime.Gosched()
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 {
		if q.closed && q.sending == 0 {
			return nil
		}
		q.changed.Wait()
	}
	n, bytes := 0, int64(0)
	for n < len(q.waiting) && n < groupMessages {
		p := q.waiting[n]
		size := p.row.bytes()
		if n > 0 && (p.large || bytes+size > groupBytes) {
			break
		}
		bytes += size
		if p.state == putWaits {
			p.state = putCommits
		}
		if n++; p.large {
			break
		}
	}
	ps := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.busy++
	return ps
}

// bytes returns about how many bytes are sent for r.
func (r *newRow) bytes() int64 {
	return r.size + int64(len(r.envelope)+len(r.state)+len(r.rcpts)) + 200
}

// close makes add fail. The calls that wait are still committed, if that is possible.
func (q *puts) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}

// wait returns the result of p. If ctx ends, it returns the error of ctx if the message
// will not be delivered then: see outcome.go.
func (q *puts) wait(ctx context.Context, p *put) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	if q.abandon(p) {
		return ctx.Err()
	}
	<-p.done
	return p.err
}

// abandon ends the wait for p. It returns false if p is done, or if another node may
// deliver it.
func (q *puts) abandon(p *put) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case p.state == putWaits:
		q.waiting = slices.DeleteFunc(q.waiting, func(x *put) bool { return x == p })
		p.state = putDone
		q.open.end(p)
		return true
	case p.state == putCommits && p.row.leased:
		p.state = putAbandoned
		return true
	}
	return false
}

// commit stores the messages of a group.
func (s *Store) commit(ctx context.Context, ps []*put) {
	defer func() {
		s.puts.mu.Lock()
		s.puts.busy--
		s.puts.mu.Unlock()
	}()
	if g := ps[0].doubt; g != nil {
		s.finish(ctx, ps, g, s.outcome(ctx, g, ps[0].unknown))
		return
	}
	g, err := s.insert(ctx, ps)
	for try := 1; try < attempts && isAborted(err); try++ {
		g, err = s.insert(ctx, ps) // the connection broke, but the database can be used
	}
	if ctx.Err() != nil && err != nil && !errors.Is(err, errOutcomeUnknown) {
		err = queue.ErrClosed // Close does not wait longer
	}
	if len(ps) > 1 && isRefused(err) {
		// One of the messages may be the reason.
		for _, p := range ps {
			g, err := s.insert(ctx, []*put{p})
			s.finish(ctx, []*put{p}, g, err)
		}
		return
	}
	s.finish(ctx, ps, g, err)
}

// isRefused reports whether the database has refused statements, not that it cannot be
// used.
func isRefused(err error) bool {
	return err != nil && !errors.Is(err, queue.ErrUnavailable) && !errors.Is(err, queue.ErrFull) &&
		!errors.Is(err, queue.ErrClosed) && !errors.Is(err, errOutcomeUnknown)
}

// insert runs the transaction of a group.
func (s *Store) insert(ctx context.Context, ps []*put) (*group, error) {
	g := s.groups.new()
	node, err := s.node.incarnation()
	if err != nil {
		return g, err
	}
	g.node = node
	contents := make([]newContent, len(ps))
	for i, p := range ps {
		contents[i] = p.row.content
	}
	began := time.Now()
	err = s.once(ctx, g, func(b *pgx.Batch) {
		slot := s.currentSlot()
		s.queueContent(b, slot, contents...) // cannot fail: they are in memory
		queueMessages(b, g, node, slot, ps)
	})
	if err == nil {
		s.stats.committed(time.Since(began), len(ps))
	}
	return g, err
}

// finish gives the calls of a group their results. The messages of calls that were
// abandoned are removed.
func (s *Store) finish(ctx context.Context, ps []*put, g *group, err error) {
	var refused, unknown []string
	for i, p := range ps {
		result := err
		if err == nil && slices.Contains(g.missing, int64(i+1)) {
			result = queue.ErrExists
		}
		if s.finishOne(p, g.node, result) && result == nil {
			refused = append(refused, p.row.id)
		}
		unknown = append(unknown, p.row.id)
	}
	if errors.Is(err, errOutcomeUnknown) {
		s.log.Error("postgres: the Store was closed before the database could say whether messages are stored; "+
			"their senders got an error, but the messages may be delivered, and delivered twice if they are sent again",
			"messages", len(unknown), "ids", some(unknown))
	}
	s.discard(ctx, g.node, refused)
	for _, p := range ps {
		s.puts.open.end(p)
	}
}

// finishOne gives a call its result, and reports whether the call was abandoned.
func (s *Store) finishOne(p *put, node int64, err error) (abandoned bool) {
	s.puts.mu.Lock()
	defer s.puts.mu.Unlock()
	abandoned = p.state == putAbandoned
	p.state, p.err = putDone, err
	defer close(p.done)
	switch {
	case err != nil, abandoned:
	case p.row.leased:
		// If this node was declared dead in the meantime, other nodes deliver the message.
		_ = s.leases.add(node, p.row.id, firstLease, 0, p.schedule)
	default:
		s.lanes.wrote(p.row.hop, p.row.prio, p.row.ready, p.row.id)
	}
	return abandoned
}

// some returns the first of many IDs, for a log.
func some(ids []string) []string { return ids[:min(len(ids), 20)] }

// firstLease is the number of the lease of a new message.
const firstLease = 1

// commitStats are for queue.StoreStats.
type commitStats struct {
	duration, messages counters.Histogram
}

func (c *commitStats) committed(d time.Duration, messages int) {
	c.duration.Observe(int64(d))
	c.messages.Observe(int64(messages))
}
