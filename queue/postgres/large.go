package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// putLarge stores a message with a large content, which it reads while it sends it. If
// the outcome is unknown, p waits for a committer, which finds it out. Close waits for
// that, as for other groups.
func (s *Store) putLarge(ctx context.Context, p *put) error {
	select {
	case s.puts.large <- struct{}{}:
		defer func() { <-s.puts.large }()
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return queue.ErrClosed
	}
	if err := s.puts.begin(); err != nil {
		return err
	}
	defer s.puts.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)() // Close has waited long enough
	p.state = putCommits                     // no other goroutine knows p
	node, err := s.node.incarnation()
	if err != nil {
		return err
	}
	g := s.groups.new()
	g.node = node
	began := time.Now()
	err = s.db.stream(ctx, func(ctx context.Context, tx pgx.Tx) error {
		slot := s.currentSlot()
		if err := s.storeContent(ctx, tx, slot, p.row.content); err != nil {
			return err
		}
		b := &pgx.Batch{}
		queueMessages(b, g, node, slot, []*put{p})
		return tx.SendBatch(ctx, b).Close()
	})
	if errors.Is(err, errOutcomeUnknown) {
		p.doubt, p.unknown = g, err
		s.puts.ask(p)
		return nil
	}
	if err == nil {
		s.groups.settle(g.key)
		s.stats.committed(time.Since(began), 1)
	}
	s.finish(ctx, []*put{p}, g, err)
	return nil // the result is in p
}
