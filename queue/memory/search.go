package memory

import (
	"context"
	"iter"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// Search implements queue.Searcher.
func (st *Store) Search(ctx context.Context, s queue.Search) iter.Seq2[*queue.Entry, error] {
	return index.Search(ctx, s, st.locked)
}

// CountMatches implements queue.Searcher.
func (st *Store) CountMatches(ctx context.Context, s queue.Search) (int, error) {
	return index.CountMatches(ctx, s, st.locked)
}

// AgesByDomain implements queue.Searcher.
func (st *Store) AgesByDomain(ctx context.Context, q queue.AgeQuery) (rows []queue.ShapeRow, rest queue.ShapeRow, err error) {
	return index.AgesByDomain(ctx, q, st.locked, func(id string) (*queue.Message, error) { return st.Get(ctx, id) })
}

// Walk implements queue.Walker.
func (st *Store) Walk(ctx context.Context, f func(*queue.Entry)) error {
	return index.Walk(ctx, st.locked, f)
}

// locked calls f with the index.
func (st *Store) locked(f func(*index.Index[*queue.Message])) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return queue.ErrClosed
	}
	f(&st.index)
	return nil
}
