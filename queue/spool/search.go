package spool

import (
	"context"
	"iter"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// Search implements queue.Searcher.
func (s *Spool) Search(ctx context.Context, q queue.Search) iter.Seq2[*queue.Entry, error] {
	return index.Search(ctx, q, s.index.locked)
}

// CountMatches implements queue.Searcher.
func (s *Spool) CountMatches(ctx context.Context, q queue.Search) (int, error) {
	return index.CountMatches(ctx, q, s.index.locked)
}

// AgesByDomain implements queue.Searcher.
func (s *Spool) AgesByDomain(ctx context.Context, q queue.AgeQuery) (rows []queue.ShapeRow, rest queue.ShapeRow, err error) {
	return index.AgesByDomain(ctx, q, s.index.locked, func(id string) (*queue.Message, error) { return s.Get(ctx, id) })
}

// Walk implements queue.Walker.
func (s *Spool) Walk(ctx context.Context, f func(*queue.Entry)) error {
	return index.Walk(ctx, s.index.locked, f)
}

// locked calls f with the entries.
func (x *messageIndex) locked(f func(*index.Index[entryData])) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return queue.ErrClosed
	}
	f(&x.entries)
	return nil
}
