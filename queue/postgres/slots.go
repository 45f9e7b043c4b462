package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Contents are in tables that are emptied as a whole, because that gives their space
// back to the disk at once, and needs no VACUUM. There is one table for each slot. New
// contents go to the current slot. When much of that slot is garbage (contents of
// messages that have ended), another slot becomes the current one. When no message
// refers to a slot any more, its table is truncated (function empty_slot). The few
// messages that stay in a slot for long are moved to the current slot.
//
// Nothing is lost, whatever happens at the same time, because of four rules:
//
//  1. A transaction that stores content in a slot also stores the message that refers to
//     it. Until it ends, it has a lock (ROW EXCLUSIVE) on the table of the slot.
//  2. empty_slot first locks the table (SHARE, which conflicts with that lock), then
//     looks for messages that refer to the slot, then truncates. It keeps its lock until
//     its own commit. Transactions are READ COMMITTED, so the look sees all that was
//     committed before the lock.
//  3. A move copies the contents, and changes the slot of the messages, in one
//     transaction, which has locked the rows of the messages.
//  4. A reader takes the slot from the row of the message, in the same statement.
//
// The cases:
//
//   - Put stores its content before empty_slot has the lock, and has not ended:
//     empty_slot waits, gives up after 100 ms, and changes nothing. (While Put waits for
//     a synchronous standby, it has not ended either.)
//   - Put has committed before empty_slot has the lock: the look sees the message.
//   - Put has stored the row of its message, but no content yet, when empty_slot has the
//     lock: Put waits for its turn and then stores the content in the empty table. The
//     look does not see the message, but no content of it is there to be lost.
//   - Put uses a slot that is no longer the current one, because its node does not know
//     that yet: the cases above do not depend on which slot is the current one. The slot
//     is only emptied later. Two nodes may even have different current slots.
//   - A move from the slot has not ended: its messages still refer to the slot for
//     everyone else, so the look sees them. A move to the slot is like a Put.
//   - A move and a record (Update, Remove) of the same message: the second waits for the
//     first. A record does not change the slot, and a move changes nothing else. The
//     move skips rows that are locked, so there is no deadlock. A message that is removed
//     while it moves leaves a copy of its content, which is garbage in the new slot.
//   - Two nodes move the same message: the second skips the row, or, after the commit of
//     the first, finds that its slot is another one.
//   - A reader has the old slot of a message from its snapshot, and the table is emptied
//     before it reads there: it finds no content, and reads again: see
//     [storedContent.read]. A reader that has begun to read the table has a lock, for
//     which empty_slot waits.
//   - A node dies, or the database does, at any point: all of this is in transactions.
const slotCount = 8

// contentState is what a Store knows about the tables of contents.
type contentState struct {
	sync.Mutex // guards all fields
	keys       keys
	slot       int16                // the current one, as far as known
	closed     [slotCount]time.Time // since when a slot has not been the current one
	tidied     time.Time            // see tidy
	bloated    time.Time            // since when the table of messages is too large; see shrink
}

// currentSlot returns the slot for the content of new messages.
func (s *Store) currentSlot() int16 {
	s.content.Lock()
	defer s.content.Unlock()
	return s.content.slot
}

// sawSlot records that a slot is the current one.
func (s *Store) sawSlot(current int16) {
	s.content.Lock()
	defer s.content.Unlock()
	if now := time.Now(); current != s.content.slot {
		s.content.closed[s.content.slot] = now
		s.content.slot = current
	}
}

// closedFor returns how long a slot has not been the current one.
func (s *Store) closedFor(slot int) time.Duration {
	s.content.Lock()
	defer s.content.Unlock()
	return time.Since(s.content.closed[slot])
}

// A slotUse says what is in a slot.
type slotUse struct {
	heap     int64 // bytes of the table itself: 0 if it is empty
	size     int64 // bytes on disk, with indexes
	messages int64 // that refer to it
	bytes    int64 // of the contents of these messages
}

// live estimates the bytes on disk that the contents of the messages need. Rows and
// index entries have an overhead.
func (u *slotUse) live() int64 { return u.bytes + u.bytes/16 + 160*u.messages }

// garbage estimates the bytes on disk that a truncation would give back.
func (u *slotUse) garbage() int64 { return max(u.size-u.live(), 0) }

// wasteful reports whether more of the slot is garbage than not.
func (u *slotUse) wasteful(least int64) bool { return u.garbage() > max(least, u.live()) }

// A slotPlan is what a round of maintenance does with the slots.
type slotPlan struct {
	empty []int // truncate these
	next  int   // the new current slot, or -1
	move  int   // move messages from this slot to the current one, or -1
}

// Limits on slots, in bytes.
const (
	garbageLeast = 16 << 20 // less garbage than this in a slot does not matter
	movedShare   = 8        // 1/movedShare of it in a slot that is not the current one, of which there are several
	slotMost     = 1 << 30  // so that a slot has messages of about the same age
)

// planSlots decides what to do. least is garbageLeast, except in tests.
func planSlots(current int, use [slotCount]slotUse, least int64) slotPlan {
	p := slotPlan{next: -1, move: -1}
	fewest, waste := -1, -1 // the slots that have the least to move, of all and of those worth it
	fewer := func(i, than int) bool { return than < 0 || use[i].live() < use[than].live() }
	for i := range use {
		switch u := &use[i]; {
		case i == current:
		case u.heap == 0:
			p.next = i
		case u.messages == 0:
			p.empty = append(p.empty, i)
		default:
			if fewer(i, fewest) {
				fewest = i
			}
			if u.wasteful(least/movedShare) && fewer(i, waste) {
				waste = i
			}
		}
	}
	now := &use[current]
	change := now.wasteful(least) || now.size > slotMost
	if change && p.next < 0 && len(p.empty) > 0 {
		p.next = p.empty[0] // is empty then
	}
	switch {
	case waste >= 0:
		p.move = waste
	case fewest >= 0 && change && p.next < 0 && use[fewest].live() < now.garbage():
		p.move = fewest
	}
	if !change {
		p.next = -1
	}
	return p
}

const readSlotUse = `
select s.n, pg_relation_size(s.content), pg_total_relation_size(s.content), coalesce(m.count, 0), coalesce(m.bytes, 0)
from (values (0::smallint, 'bridgehead.content_0'::regclass), (1, 'bridgehead.content_1'), (2, 'bridgehead.content_2'),
	(3, 'bridgehead.content_3'), (4, 'bridgehead.content_4'), (5, 'bridgehead.content_5'), (6, 'bridgehead.content_6'),
	(7, 'bridgehead.content_7')) s (n, content)
left join (select slot, count(*), sum(size)::bigint from bridgehead.message group by slot) m (slot, count, bytes) on m.slot = s.n`

// slotUse reads what is in the slots. It reads the rows of all messages.
func (s *Store) slotUse(ctx context.Context) (use [slotCount]slotUse, err error) {
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(readSlotUse).Query(func(rows pgx.Rows) error {
			var n int16
			var u slotUse
			_, err := pgx.ForEachRow(rows, []any{&n, &u.heap, &u.size, &u.messages, &u.bytes}, func() error {
				use[n] = u
				return nil
			})
			return err
		})
	})
	return use, err
}

// emptySlot truncates the table of a slot if nothing refers to it.
func (s *Store) emptySlot(ctx context.Context, slot int) (emptied bool, err error) {
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(`select bridgehead.empty_slot($1)`, int16(slot)).QueryRow(func(row pgx.Row) error { return row.Scan(&emptied) })
	})
	return emptied, err
}

// changeSlot makes next the current slot. If another node has done it, nothing changes.
func (s *Store) changeSlot(ctx context.Context, current, next int) error {
	now := int16(current)
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(`update bridgehead.slot set current = $2 where current = $1`, int16(current), int16(next))
		b.Queue(`select current from bridgehead.slot`).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	})
	if err == nil {
		s.sawSlot(now)
	}
	return err
}
