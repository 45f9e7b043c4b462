package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Update and Remove put a change into the group that collects, and return. One group at a
// time is recorded, so the changes of a message stay in order. While the database cannot
// be reached, the group is kept and repeated, and new changes are errors.
const (
	// collectTime is how long a group collects after its first change. Changes must be
	// in the database 100 ms after the call (queue.Store).
	collectTime = 20 * time.Millisecond
	// groupChanges is the maximum number of messages in a group, and groupRecipients
	// that of their recipients.
	groupChanges    = 500
	groupRecipients = 20_000
)

// changes has the changes that are not in the database yet.
type changes struct {
	mu         sync.Mutex
	collecting *changeGroup // guarded by mu, like all below; nil: empty
	recording  *changeGroup // nil: none
	err        error        // why the last attempt to record failed
	closed     bool
	// progress is closed, and replaced, when a group begins to be recorded, when it has
	// been recorded, and when an attempt has failed.
	progress chan struct{}
	wake     chan struct{} // has a value: there is work, or hurry
}

// A changeGroup is a group of changes. It has at most one for a message.
type changeGroup struct {
	list       []*change
	byID       map[string]*change
	recipients int
	began      time.Time
	hurry      bool // some call waits for it
}

func (g *changeGroup) has(ids []string) bool {
	if g == nil {
		return false
	}
	for _, id := range ids {
		if g.byID[id] != nil {
			return true
		}
	}
	return len(ids) == 0
}

// releases reports whether the group releases a message that is ready at the time by.
func (g *changeGroup) releases(by int64) bool {
	if g == nil {
		return false
	}
	return slices.ContainsFunc(g.list, func(c *change) bool {
		return !c.remove && c.schedule.Owner == "" && c.ready <= by
	})
}

func (g *changeGroup) full() bool {
	return g != nil && (len(g.list) >= groupChanges || g.recipients >= groupRecipients)
}

// startChanges starts the goroutine that records changes.
func (s *Store) startChanges(context.Context) error {
	c := &s.changes
	c.progress, c.wake = make(chan struct{}), make(chan struct{}, 1)
	var running sync.WaitGroup
	running.Add(1)
	s.background(func(ctx context.Context) {
		defer running.Done()
		for g := c.take(ctx); g != nil; g = c.take(ctx) {
			s.recordGroup(ctx, g)
		}
	})
	s.atClose(func(ctx context.Context) error {
		c.close()
		return waitFor(ctx, &running)
	})
	return nil
}

// add adds a change of a message. set changes c, which is the result of begin, or a
// change of the same lease that collects. add waits while the group is full.
func (c *changes) add(ctx context.Context, id string, begin func() (*change, error), set func(c *change)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.closed {
			return queue.ErrClosed
		}
		if c.err != nil {
			return c.err
		}
		x, err := begin()
		if err != nil {
			return err
		}
		if g := c.collecting; g.has([]string{id}) {
			if old := g.byID[id]; old.lease == x.lease && old.node == x.node && !old.remove {
				n := old.size()
				set(old)
				g.recipients += old.size() - n
				return nil
			}
		} else if !g.full() {
			set(x)
			c.insert(x)
			return nil
		}
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
}

// insert adds a change to the group that collects. The caller has locked mu.
func (c *changes) insert(x *change) {
	g := c.collecting
	if g == nil {
		g = &changeGroup{byID: make(map[string]*change), began: time.Now()}
		c.collecting = g
		c.signal()
	}
	g.list = append(g.list, x)
	g.byID[x.id] = x
	if g.recipients += x.size(); g.full() {
		c.signal()
	}
}

func (c *changes) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// wait waits for progress, in a hurry. The caller has locked mu.
func (c *changes) wait(ctx context.Context) error {
	if c.collecting != nil {
		c.collecting.hurry = true
		c.signal()
	}
	progress := c.progress
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-progress:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waiting returns how long the oldest change has waited that is not in the database.
func (c *changes) waiting() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.recording
	if g == nil {
		g = c.collecting
	}
	if g == nil {
		return 0
	}
	return time.Since(g.began)
}

// settle waits until the changes of the messages that have been made before the call
// are in the database. No IDs mean all messages.
func (s *Store) settle(ctx context.Context, ids ...string) error {
	return s.changes.settle(ctx, func(g *changeGroup) bool { return g.has(ids) })
}

// settleReleased waits until the changes that release messages, and that have been made
// before the call, are in the database: those of the message id, or if id is empty, of
// all messages that are ready at the time by. Removed messages, and those that
// wait for longer, need no claim to wait.
func (s *Store) settleReleased(ctx context.Context, id string, by int64) error {
	if id != "" {
		return s.settle(ctx, id)
	}
	return s.changes.settle(ctx, func(g *changeGroup) bool { return g.releases(by) })
}

// settle waits until the groups for which matters is true are in the database.
func (c *changes) settle(ctx context.Context, matters func(*changeGroup) bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	collecting, recording := c.collecting, c.recording
	for {
		last := collecting
		if !matters(last) {
			last = recording
		}
		if !matters(last) || last != c.collecting && last != c.recording {
			return nil // nothing to wait for, or it has been recorded
		}
		if c.err != nil {
			return c.err
		}
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
}

// close makes add fail, and the goroutine record what is left.
func (c *changes) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.signal()
}

// take waits for the next group to record. It returns nil if the Store is closed and
// nothing is left, or if ctx has ended: see logLost.
func (c *changes) take(ctx context.Context) *changeGroup {
	for ctx.Err() == nil {
		c.mu.Lock()
		g, rest := c.collecting, time.Hour
		if g != nil {
			rest = collectTime - time.Since(g.began)
		}
		if g != nil && (rest <= 0 || g.hurry || g.full() || c.closed) {
			c.collecting, c.recording = nil, g
			c.moved()
			c.mu.Unlock()
			return g
		}
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return nil
		}
		timer := time.NewTimer(rest)
		select {
		case <-c.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// tried records the result of an attempt to record the group.
func (c *changes) tried(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = err; err == nil {
		c.recording = nil
	}
	c.moved()
}

// moved wakes the calls that wait for progress. The caller has locked mu.
func (c *changes) moved() {
	close(c.progress)
	c.progress = make(chan struct{})
}

// recordGroup records a group. It repeats it until it is recorded or ctx ends.
func (s *Store) recordGroup(ctx context.Context, g *changeGroup) {
	if s.recordAll(ctx, g.list) {
		s.changes.tried(nil)
	}
}

// recordAll records changes, and reports whether it did before ctx ended. If the database
// refuses one of them because of its data, it gives up that change only.
func (s *Store) recordAll(ctx context.Context, cs []*change) bool {
	for try := 1; ; try++ {
		err := s.record(ctx, cs, s.changes.failed)
		switch {
		case err == nil:
			return true
		case isBadData(err) && len(cs) == 1:
			s.giveUp(cs[0], err)
			return true
		case isBadData(err):
			half := len(cs) / 2
			return s.recordAll(ctx, cs[:half]) && s.recordAll(ctx, cs[half:])
		}
		s.changes.failed(err)
		if !sleep(ctx, repeatAfter(try)) {
			return false
		}
	}
}

// giveUp ends a change that cannot be recorded. The message stays leased to this node, so
// that it is not delivered again and again.
func (s *Store) giveUp(c *change, err error) {
	c.ended = true
	s.log.Error("postgres: the result of a message cannot be recorded, and is given up; the message stays in the queue, "+
		"and may be delivered again when this node has ended", "id", c.id, "err", err)
	if _, ok := s.leases.find(c.id); !ok {
		// If the incarnation of the lease has ended, the message is with other nodes.
		_ = s.leases.add(c.node, c.id, c.lease, c.interrupted, queue.Schedule{Owner: "(given up)", Until: time.Now().AddDate(100, 0, 0)})
	}
}

// failed makes calls fail while the database cannot record.
func (c *changes) failed(err error) {
	if !errors.Is(err, queue.ErrFull) && !errors.Is(err, queue.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
	c.tried(err)
}

// logLost logs the changes that Close could not record. It is called after the end of all
// goroutines.
func (s *Store) logLost() {
	c := &s.changes
	c.mu.Lock()
	defer c.mu.Unlock()
	var results, refused []string
	for _, g := range []*changeGroup{c.recording, c.collecting} {
		if g == nil {
			continue
		}
		for _, x := range g.list {
			switch {
			case x.ended:
			case x.refused:
				refused = append(refused, x.id)
			default:
				results = append(results, x.id)
			}
		}
	}
	if len(results) > 0 {
		s.log.Error("postgres: results are not recorded, because the database could not be reached until the end; "+
			"other nodes may deliver the messages again", "messages", len(results), "ids", some(results))
	}
	if len(refused) > 0 {
		s.log.Error("postgres: messages that were refused to their senders are not removed, because the database could not "+
			"be reached until the end; other nodes may deliver them", "messages", len(refused), "ids", some(refused))
	}
}
