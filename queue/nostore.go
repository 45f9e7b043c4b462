package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

var (
	errNoStore = errors.New("queue: Queue.Store is not set")

	errStoreClosed = fmt.Errorf("queue: Queue.Store was closed while Run was running: %w", ErrClosed)
)

// noteClosed ends Run if err is the error of a Store that is closed.
func (q *Queue) noteClosed(err error) {
	if errors.Is(err, ErrClosed) {
		q.storeClosedOnce.Do(func() { close(q.storeClosed) })
	}
}

// A noStore takes the place of a Store that is not set, so that each method of
// the Queue returns an error and none panics.
type noStore struct{}

func (noStore) Put(context.Context, *Message, Schedule) error            { return errNoStore }
func (noStore) Claim(context.Context, Claim) ([]*Message, error)         { return nil, errNoStore }
func (noStore) Next(context.Context, Claim) (time.Time, error)           { return time.Time{}, errNoStore }
func (noStore) Update(context.Context, string, *Message, Schedule) error { return errNoStore }
func (noStore) Remove(context.Context, string, string) error             { return errNoStore }
func (noStore) Sync(context.Context) error                               { return errNoStore }
func (noStore) Get(context.Context, string) (*Message, error)            { return nil, errNoStore }
func (noStore) Hops(context.Context) ([]HopSum, error)                   { return nil, errNoStore }
func (noStore) Close() error                                             { return errNoStore }

func (noStore) Renew(context.Context, string, time.Time, ...string) ([]string, error) {
	return nil, errNoStore
}

func (noStore) List(context.Context, Query) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) { yield(nil, errNoStore) }
}
