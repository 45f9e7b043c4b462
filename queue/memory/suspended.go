package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// suspended identifies a suspension.
type suspended struct {
	hop    queue.NextHop
	domain string
}

// PutSuspension implements queue.SuspensionStore.
func (st *Store) PutSuspension(ctx context.Context, s queue.Suspension) error {
	if err := st.lock(ctx); err != nil {
		return err
	}
	defer st.mu.Unlock()
	key := suspended{s.Hop, s.Domain}
	if _, replaces := st.suspended[key]; !replaces && len(st.suspended) >= queue.MaxSuspensions {
		return queue.ErrFull
	}
	if st.suspended == nil {
		st.suspended = map[suspended]queue.Suspension{}
	}
	st.suspended[key] = s
	return nil
}

// RemoveSuspension implements queue.SuspensionStore.
func (st *Store) RemoveSuspension(ctx context.Context, s queue.Suspension) error {
	if err := st.lock(ctx); err != nil {
		return err
	}
	defer st.mu.Unlock()
	key := suspended{s.Hop, s.Domain}
	if st.suspended[key].Since.Equal(s.Since) {
		delete(st.suspended, key)
	}
	return nil
}

// Suspensions implements queue.SuspensionStore.
func (st *Store) Suspensions(ctx context.Context) ([]queue.Suspension, error) {
	if err := st.lock(ctx); err != nil {
		return nil, err
	}
	defer st.mu.Unlock()
	return slices.Collect(maps.Values(st.suspended)), nil
}
