// Package boltstore is an example of a queue.Store: it keeps the mail queue in
// a bbolt database, one file that an application may have already.
//
// boltstore.go has the methods of the Store, index.go decides which message is
// claimed next, and record.go reads and writes the database.
package boltstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// A Store is a [queue.Store] in a bbolt database. One process at a time can
// open it. It is safe for concurrent use.
//
// Envelopes and content are in the database, and the schedules of all messages
// are also in memory: about 250 bytes for each message. Leases are only in
// memory, so they end when the process ends.
type Store struct {
	db     *bolt.DB
	log    *slog.Logger
	closed chan struct{} // closed by Close

	mu    sync.Mutex
	idle  sync.Cond         // an entry is no longer busy; uses mu
	index map[string]*entry // by ID, guarded by mu
	// checked is false until the first Claim or Next has compared the times
	// in the index with the clock. Guarded by mu.
	checked bool
}

var (
	_ queue.Store         = (*Store)(nil)
	_ queue.CloseNotifier = (*Store)(nil)
)

// Open opens the store in the file path, or creates it. It waits at most one
// second for another process that has opened the file. Damaged envelopes are
// reported to log, which may be nil.
func Open(path string, log *slog.Logger) (*Store, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	// Batch commits concurrent calls with one sync. It waits this long for
	// further calls. A sync takes about as long.
	db.MaxBatchDelay = time.Millisecond
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{db: db, log: log, closed: make(chan struct{}), index: make(map[string]*entry)}
	s.idle.L = &s.mu
	if err := s.load(); err != nil {
		db.Close()
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	return s, nil
}

// load creates the buckets and reads the index.
func (s *Store) load() error {
	return s.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{envelopes, contents, damaged} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		var bad []string
		err := tx.Bucket(envelopes).ForEach(func(k, v []byte) error {
			r, err := decode(k, v)
			if err != nil {
				bad = append(bad, string(k))
				return nil
			}
			e := r.entry(string(k))
			e.loaded = true
			s.index[e.ID] = e
			return nil
		})
		for _, id := range bad {
			err = errors.Join(err, s.setAside(tx, id))
		}
		return err
	})
}

// Put implements [queue.Store].
func (s *Store) Put(ctx context.Context, m *queue.Message, sched queue.Schedule) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := queue.ValidID(m.ID); err != nil {
		return err
	}
	r := newRecord(m, sched)
	err := s.write(func(tx *bolt.Tx) error {
		if tx.Bucket(envelopes).Get([]byte(m.ID)) != nil {
			return queue.ErrExists
		}
		if err := putContent(tx, m.ID, m.Content); err != nil {
			return err
		}
		return r.put(tx, m.ID)
	})
	if err != nil {
		return err
	}
	e := r.entry(m.ID)
	e.Schedule = sched
	if _, ok := queue.InMemory(m.Content); !ok {
		m.Content = &content{s, m.ID, e.Size}
	}
	s.mu.Lock()
	s.index[m.ID] = e
	s.mu.Unlock()
	return nil
}

// Claim implements [queue.Store].
func (s *Store) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	want := max(c.Max, 1)
	if c.ID != "" {
		want = 1
	}
	var ms []*queue.Message
	for len(ms) < want {
		es := s.lease(c, want-len(ms))
		if len(es) == 0 {
			break
		}
		for _, e := range es {
			m, err := s.read(e.ID)
			switch {
			case errors.Is(err, queue.ErrDamaged):
				err = s.drop(e)
			case err == nil:
				ms = append(ms, m)
			}
			if err != nil {
				return ms, err
			}
		}
	}
	return ms, nil
}

// drop sets a message aside that cannot be read.
func (s *Store) drop(e *entry) error {
	err := s.write(func(tx *bolt.Tx) error { return s.setAside(tx, e.ID) })
	if err == nil {
		s.forget(e)
	}
	return err
}

// Next implements [queue.Store].
func (s *Store) Next(ctx context.Context, c queue.Claim) (time.Time, error) {
	if err := s.usable(ctx); err != nil {
		return time.Time{}, err
	}
	return s.next(c), nil
}

// Renew implements [queue.Store].
func (s *Store) Renew(ctx context.Context, owner string, until time.Time, ids ...string) (lost []string, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if e := s.index[id]; e != nil && e.Schedule.Owner == owner {
			e.Schedule.Until = until
		} else {
			lost = append(lost, id)
		}
	}
	return lost, nil
}

// Update implements [queue.Store]. It returns when the record is on stable
// storage, which is more than the interface requires.
func (s *Store) Update(ctx context.Context, owner string, m *queue.Message, sched queue.Schedule) error {
	e, err := s.acquire(ctx, owner, m.ID)
	if err != nil {
		return err
	}
	err = s.write(func(tx *bolt.Tx) error {
		r, err := getRecord(tx, m.ID)
		if err != nil {
			return err
		}
		r.Recipients, r.Interrupted = m.Recipients, m.Interrupted
		r.schedule(sched)
		return r.put(tx, m.ID)
	})
	s.release(e, func() {
		if err == nil {
			e.Schedule, e.loaded = sched, false
		}
	})
	return err
}

// Remove implements [queue.Store].
func (s *Store) Remove(ctx context.Context, owner, id string) error {
	e, err := s.acquire(ctx, owner, id)
	if err != nil {
		return err
	}
	err = s.write(func(tx *bolt.Tx) error { return deleteMessage(tx, id) })
	s.release(e, func() {
		if err == nil && s.index[id] == e {
			delete(s.index, id)
		}
	})
	return err
}

// Sync implements [queue.Store]. Every write is synced already, so Sync only
// finds out whether the database can be written.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	return s.write(func(*bolt.Tx) error { return nil })
}

// Get implements [queue.Store].
func (s *Store) Get(ctx context.Context, id string) (*queue.Message, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	return s.read(id)
}

// read reads one message from the database.
func (s *Store) read(id string) (*queue.Message, error) {
	var r *record
	err := s.db.View(func(tx *bolt.Tx) (err error) {
		r, err = getRecord(tx, id)
		return err
	})
	if err != nil {
		return nil, storeError(err)
	}
	return r.message(id, &content{s, id, r.Size}), nil
}

// List implements [queue.Store].
func (s *Store) List(ctx context.Context, q queue.Query) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		if err := s.usable(ctx); err != nil {
			yield(nil, err)
			return
		}
		var es []*queue.Entry
		s.mu.Lock()
		for _, e := range s.index {
			if e.ID > q.After && (q.Hop == nil || e.Schedule.Hop == *q.Hop || slices.Contains(q.Also, e.Schedule.Hop)) {
				c := e.Entry
				es = append(es, &c)
			}
		}
		s.mu.Unlock()
		slices.SortFunc(es, func(a, b *queue.Entry) int { return cmp.Compare(a.ID, b.ID) })
		for _, e := range es {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Closed implements [queue.CloseNotifier].
func (s *Store) Closed() <-chan struct{} { return s.closed }

// Close implements [queue.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	if s.isClosed() {
		s.mu.Unlock()
		return queue.ErrClosed
	}
	close(s.closed)
	s.mu.Unlock()
	return s.db.Close() // waits for transactions
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// usable returns an error if the store is closed or ctx has ended.
func (s *Store) usable(ctx context.Context) error {
	if s.isClosed() {
		return queue.ErrClosed
	}
	return ctx.Err()
}

// write runs f in a transaction and returns when it is on stable storage. It
// may run f more than once.
func (s *Store) write(f func(tx *bolt.Tx) error) error {
	return storeError(s.db.Batch(f))
}

// storeError translates an error of bbolt into one of the Store.
func storeError(err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return queue.ErrClosed
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", queue.ErrFull, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", queue.ErrReadOnly, err)
	}
	return err
}
