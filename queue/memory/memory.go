package memory

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// A Store keeps messages in memory. It also reads content that is in files into
// memory. The zero value is an empty store, ready for use. A Store is safe for
// concurrent use.
type Store struct {
	// Max is the maximum number of messages in the store. Put returns
	// queue.ErrFull if there would be more. 0 means no limit. Max must not
	// change after the first call of a method.
	Max int

	mu        sync.Mutex // guards all below
	index     index.Index[*queue.Message]
	suspended map[suspended]queue.Suspension
	closed    bool
	notify    chan struct{} // closed by Close; nil until Closed is called
}

var (
	_ queue.Store            = (*Store)(nil)
	_ queue.DeliveryJournal  = (*Store)(nil)
	_ queue.RecipientUpdater = (*Store)(nil)
	_ queue.CloseNotifier    = (*Store)(nil)
	_ queue.Searcher         = (*Store)(nil)
	_ queue.Walker           = (*Store)(nil)
	_ queue.StoreReporter    = (*Store)(nil)
	_ queue.SuspensionStore  = (*Store)(nil)
)

// lock begins a call. If it returns nil, the caller must unlock st.mu.
func (st *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	st.mu.Lock()
	if st.closed {
		st.mu.Unlock()
		return queue.ErrClosed
	}
	return nil
}

// Put implements queue.Store.
func (st *Store) Put(ctx context.Context, m *queue.Message, s queue.Schedule) error {
	if err := queue.ValidID(m.ID); err != nil {
		return err
	}
	if err := toMemory(m); err != nil {
		return err
	}
	if err := st.lock(ctx); err != nil {
		return err
	}
	defer st.mu.Unlock()
	if _, found := st.index.Find(m.ID); found {
		return queue.ErrExists
	}
	if st.Max > 0 && st.index.Len() >= st.Max {
		return queue.ErrFull
	}
	slot, _ := st.index.Add(m.ID, index.Facts{
		Priority: m.Options.Priority, Size: m.Content.Size(), Received: m.Received, From: index.HashAddress(m.From),
	})
	st.index.At(slot).Data = clone(m)
	st.index.SetRecipients(slot, index.AppendRecipients(nil, m.Recipients))
	st.index.Show(slot, s)
	return nil
}

// toMemory reads the content of a message into memory unless it is there
// already.
func toMemory(m *queue.Message) error {
	if m.Content == nil {
		m.Content = queue.Bytes()
	}
	if _, ok := queue.InMemory(m.Content); ok {
		return nil
	}
	b := make([]byte, m.Content.Size())
	if n, err := m.Content.ReadAt(b, 0); n < len(b) {
		return err
	}
	m.Content = queue.Bytes(b)
	return nil
}

// Claim implements queue.Store.
func (st *Store) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	if err := st.lock(ctx); err != nil {
		return nil, err
	}
	defer st.mu.Unlock()
	var ms []*queue.Message
	for _, slot := range st.index.Claim(c) {
		ms = append(ms, clone(st.index.At(slot).Data))
	}
	return ms, nil
}

// Next implements queue.Store.
func (st *Store) Next(ctx context.Context, c queue.Claim) (time.Time, error) {
	if err := st.lock(ctx); err != nil {
		return time.Time{}, err
	}
	defer st.mu.Unlock()
	return st.index.Next(c), nil
}

// Renew implements queue.Store.
func (st *Store) Renew(ctx context.Context, owner string, until time.Time, ids ...string) (lost []string, err error) {
	if err := st.lock(ctx); err != nil {
		return nil, err
	}
	defer st.mu.Unlock()
	for _, id := range ids {
		if slot, ok := st.index.Find(id); ok && st.index.LeasedBy(slot, owner) {
			st.index.Lease(slot, owner, until)
		} else {
			lost = append(lost, id)
		}
	}
	return lost, nil
}

// leased finds a message that owner has leased.
func (st *Store) leased(owner, id string) (index.Slot, error) {
	slot, ok := st.index.Find(id)
	if !ok {
		return 0, queue.ErrNotFound
	}
	if !st.index.LeasedBy(slot, owner) {
		return 0, queue.ErrLeaseLost
	}
	return slot, nil
}

// Update implements queue.Store.
func (st *Store) Update(ctx context.Context, owner string, m *queue.Message, s queue.Schedule) error {
	if err := st.lock(ctx); err != nil {
		return err
	}
	defer st.mu.Unlock()
	slot, err := st.leased(owner, m.ID)
	if err != nil {
		return err
	}
	data := st.index.At(slot).Data
	data.Recipients, data.Interrupted = cloneRecipients(m.Recipients), m.Interrupted
	st.index.SetRecipients(slot, index.AppendRecipients(nil, m.Recipients))
	st.index.Reschedule(slot, s)
	return nil
}

// UpdateRecipients implements queue.RecipientUpdater.
func (st *Store) UpdateRecipients(ctx context.Context, owner string, m *queue.Message, changed []int, s queue.Schedule) error {
	if err := st.lock(ctx); err != nil {
		return err
	}
	defer st.mu.Unlock()
	slot, err := st.leased(owner, m.ID)
	if err != nil {
		return err
	}
	data := st.index.At(slot).Data
	hashed := make([]index.Recipient, len(changed))
	for k, i := range changed {
		r := *m.Recipients[i]
		data.Recipients[i] = &r
		hashed[k] = index.HashRecipient(&r)
	}
	st.index.ChangeRecipients(slot, changed, hashed)
	data.Interrupted = m.Interrupted
	st.index.Reschedule(slot, s)
	return nil
}

// Remove implements queue.Store.
func (st *Store) Remove(ctx context.Context, owner, id string) error {
	if err := st.lock(ctx); err != nil {
		return err
	}
	defer st.mu.Unlock()
	slot, err := st.leased(owner, id)
	if err == nil {
		st.index.Delete(slot)
	}
	return err
}

// Sync implements queue.Store. There is nothing to make durable.
func (st *Store) Sync(ctx context.Context) error {
	err := st.lock(ctx)
	if err == nil {
		st.mu.Unlock()
	}
	return err
}

// Get implements queue.Store.
func (st *Store) Get(ctx context.Context, id string) (*queue.Message, error) {
	if err := st.lock(ctx); err != nil {
		return nil, err
	}
	defer st.mu.Unlock()
	slot, ok := st.index.Find(id)
	if !ok {
		return nil, queue.ErrNotFound
	}
	return clone(st.index.At(slot).Data), nil
}

// List implements queue.Store.
func (st *Store) List(ctx context.Context, q queue.Query) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		after := q.After
		for {
			if err := st.lock(ctx); err != nil {
				yield(nil, err)
				return
			}
			page, more := st.index.Page(queue.Query{After: after, Hop: q.Hop, Also: q.Also})
			st.mu.Unlock()
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if after = more; after == "" {
				return
			}
		}
	}
}

// Hops implements queue.Store.
func (st *Store) Hops(ctx context.Context) ([]queue.HopSum, error) {
	if err := st.lock(ctx); err != nil {
		return nil, err
	}
	defer st.mu.Unlock()
	return st.index.Hops(), nil
}

// Begin implements queue.DeliveryJournal. It does nothing, because no message is
// left when the process has died.
func (st *Store) Begin(id string) {}

// End implements queue.DeliveryJournal. It does nothing.
func (st *Store) End(id string) {}

// StoreStats implements queue.StoreReporter. Free is not known.
func (st *Store) StoreStats() queue.StoreStats {
	st.mu.Lock()
	defer st.mu.Unlock()
	stats := queue.StoreStats{Free: -1}
	switch {
	case st.closed:
		stats.Err = queue.ErrClosed
	case st.Max > 0 && st.index.Len() >= st.Max:
		stats.Err = queue.ErrFull
	}
	return stats
}

// Close implements queue.Store. It removes all messages.
func (st *Store) Close() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.closed && st.notify != nil {
		close(st.notify)
	}
	st.closed = true
	st.index = index.Index[*queue.Message]{}
	st.suspended = nil
	return nil
}

// Closed implements queue.CloseNotifier.
func (st *Store) Closed() <-chan struct{} {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.notify == nil {
		st.notify = make(chan struct{})
		if st.closed {
			close(st.notify)
		}
	}
	return st.notify
}

// clone copies a message and its recipients, so that changes by a caller do not
// reach the stored ones. Copies share the content, which does not change.
func clone(m *queue.Message) *queue.Message {
	c := *m
	c.Options.Labels = maps.Clone(m.Options.Labels)
	c.Recipients = cloneRecipients(m.Recipients)
	return &c
}

func cloneRecipients(rs []*queue.Recipient) []*queue.Recipient {
	cs := slices.Clone(rs)
	for i, r := range rs {
		c := *r
		cs[i] = &c
	}
	return cs
}
