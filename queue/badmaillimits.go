package queue

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// A stranger can make bad mail: with the null reverse-path and a recipient that
// only the next hop refuses. So the bad mail in the store has limits. What is
// in the store is counted once; after that, the cost of a new message does not
// depend on how many there are.

// badMail counts the bad mail in the store.
type badMail struct {
	bytes    int64 // Limits.BadMailBytes; negative means no limit
	messages int   // Limits.BadMailMessages; negative means no limit

	mu     sync.Mutex // guards what follows; held over the store only by load
	loaded bool
	oldest list.List // of badEntry, by age
	byID   map[string]*list.Element
	size   int64 // of the messages in the list, and of those that are being stored
	count  int   // likewise
}

type badEntry struct {
	id   string
	size int64
}

// load counts the bad mail that is in the store already.
func (b *badMail) load(ctx context.Context, store Store) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.loaded {
		return nil
	}
	type aged struct {
		badEntry
		received time.Time
	}
	var all []aged
	for e, err := range store.List(ctx, Query{Hop: &badMailHop}) {
		if err != nil {
			return fmt.Errorf("queue: bad mail cannot be counted: %w", err)
		}
		size := e.Size
		if m, err := store.Get(ctx, e.ID); err == nil {
			size = badSize(m)
		} else if errors.Is(err, ErrNotFound) {
			continue
		}
		all = append(all, aged{badEntry{e.ID, size}, e.Received})
	}
	slices.SortStableFunc(all, func(a, b aged) int { return cmp.Or(a.received.Compare(b.received), cmp.Compare(a.id, b.id)) })
	b.byID = make(map[string]*list.Element, len(all))
	for _, a := range all {
		b.byID[a.id] = b.oldest.PushBack(a.badEntry)
		b.size += a.size
		b.count++
	}
	b.loaded = true
	return nil
}

// reserve counts a message that is about to be stored, unless it would exceed
// BadMailBytes.
func (b *badMail) reserve(size int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes >= 0 && b.size+size > b.bytes {
		return false
	}
	b.size += size
	b.count++
	return true
}

// reserveAnyway counts a message even if it exceeds the limit.
func (b *badMail) reserveAnyway(size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size += size
	b.count++
}

// stored notes how the storing of a message that was counted ended.
func (b *badMail) stored(e badEntry, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !ok || b.byID[e.id] != nil {
		b.size -= e.size
		b.count--
		return
	}
	b.byID[e.id] = b.oldest.PushBack(e)
}

// excess takes the oldest message out of the count if there is too much.
func (b *badMail) excess() (e badEntry, is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.oldest.Front()
	if first == nil || (b.bytes < 0 || b.size <= b.bytes) && (b.messages < 0 || b.count <= b.messages) {
		return e, false
	}
	e = first.Value.(badEntry)
	b.drop(first)
	return e, true
}

// restore counts a message again that could not be removed.
func (b *badMail) restore(e badEntry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.byID[e.id] = b.oldest.PushFront(e)
	b.size += e.size
	b.count++
}

// forget takes a message out of the count that was removed.
func (b *badMail) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.byID[id]; e != nil {
		b.drop(e)
	}
}

// drop takes an entry out of the list. The caller holds mu.
func (b *badMail) drop(el *list.Element) {
	e := b.oldest.Remove(el).(badEntry)
	delete(b.byID, e.id)
	b.size -= e.size
	b.count--
}

// keepInStore is the default of Queue.BadMail. It stores the message under
// BadMailQueue. If the message would exceed Limits.BadMailBytes, only its
// header and its envelope are stored. note says so. If that is still too much,
// the oldest bad mail is removed.
func (q *Queue) keepInStore(ctx context.Context, bad *Message) (note string, err error) {
	if err := q.badMail.load(ctx, q.Store); err != nil {
		return "", err
	}
	bad.Received = q.clock.wall()
	if !q.badMail.reserve(badSize(bad)) {
		short, err := headerOnly(bad.Content)
		if err != nil {
			return "", err
		}
		if short.Size() < bad.Content.Size() {
			bad.Content, note = short, "only its header is kept: bad mail has reached its limit"
		}
		q.badMail.reserveAnyway(badSize(bad))
	}
	e := badEntry{bad.ID, badSize(bad)}
	err = q.Store.Put(ctx, bad, Schedule{Due: farFuture, Hop: badMailHop})
	exists := errors.Is(err, ErrExists) // it was stored before, whole or not
	q.badMail.stored(e, err == nil)
	switch {
	case exists:
		return "", nil
	case err != nil:
		return "", err
	}
	if err := q.removeExcess(ctx); err != nil { // the message itself is safe
		q.log.Error("queue: bad mail above its limit cannot be removed", "error", err)
	}
	return note, nil
}

// removeExcess removes the oldest bad mail until the rest is within the limits.
func (q *Queue) removeExcess(ctx context.Context) error {
	if err := q.badMail.load(ctx, q.Store); err != nil {
		return err
	}
	for {
		e, is := q.badMail.excess()
		if !is {
			return nil
		}
		done, err := q.do(ctx, e.id, badMailHop, Op{what: opMakeRoom})
		if !done || err != nil {
			if _, gone := q.Store.Get(ctx, e.id); errors.Is(gone, ErrNotFound) {
				continue // an operator has removed it
			}
			q.badMail.restore(e)
			return err // nil: an operator is about to handle it
		}
	}
}

// badSize returns how many bytes of a message count: its content, its
// addresses and the replies to its recipients.
func badSize(m *Message) int64 {
	n := m.Content.Size() + int64(len(m.From)+len(m.Options.EnvelopeID))
	for _, r := range m.Recipients {
		n += int64(len(r.Addr) + len(r.Options.OriginalRecipient) + len(r.Last.Reply.Message))
	}
	return n
}

// headerOnlyMost is the longest header that headerOnly keeps (Exchange:
// MaxHeaderSize).
const headerOnlyMost = 256 << 10

// headerOnly returns the header of c, with a body that says what happened.
func headerOnly(c Content) (Content, error) {
	b := make([]byte, min(c.Size(), headerOnlyMost))
	if n, err := c.ReadAt(b, 0); n < len(b) && err != nil && err != io.EOF {
		return nil, err
	}
	head := header.Of(b, int64(len(b)) < c.Size())
	return Bytes(head, []byte("\r\nThe body of this message was not kept, because bad mail had reached its limit.\r\n")), nil
}
