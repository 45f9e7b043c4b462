package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// storeIn stores a message with its content in a slot, as Put does it, and returns the
// key of the content. last says that the content is stored after the message.
func storeIn(ctx context.Context, s *Store, slot int16, m *queue.Message, last bool) (key int64, err error) {
	txErr := s.db.tx(ctx, func(b *pgx.Batch) { key, err = queueMessage(b, s, slot, m, last) })
	return key, errors.Join(err, txErr)
}

func queueMessage(b *pgx.Batch, s *Store, slot int16, m *queue.Message, last bool) (key int64, err error) {
	key = s.contentKey()
	env, err := encodeEnvelope(m)
	if err != nil {
		return 0, err
	}
	st, err := encodeState(m, queue.Schedule{}, 0)
	if err != nil {
		return 0, err
	}
	if !last {
		err = s.queueContent(b, slot, newContent{key, m.Content})
	}
	b.Queue(`insert into bridgehead.message
		(id, hop, prio, ready, wait, lease, size, received, attempted, slot, content, sender, rcpts, envelope, state)
		values ($1, 0, 0, 0, 0, 0, $2, $3, false, $4, $5, $6, $7, $8, $9)`,
		m.ID, m.Content.Size(), nanos(m.Received), slot, key, s.hash.of(m.From), s.hash.recipients(m.Recipients), env, st)
	if last {
		err = s.queueContent(b, slot, newContent{key, m.Content})
	}
	return key, err
}

func deleteMessage(ctx context.Context, s *Store, id string) error {
	return s.db.tx(ctx, func(b *pgx.Batch) { b.Queue(`delete from bridgehead.message where id = $1`, id) })
}

// plainMessage returns a message with a content of that size.
func plainMessage(id string, size int) *queue.Message {
	rnd := rand.New(rand.NewPCG(uint64(size), uint64(len(id))))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	copy(b, id)
	return &queue.Message{ID: id, From: "from@example.org", Recipients: queue.Rcpt("to@example.net"), Content: queue.Bytes(b)}
}

// sameContent reads the content of a message in the database and compares it with the
// one that was stored.
func sameContent(s *Store, m *queue.Message, key int64) error {
	var got, want bytes.Buffer
	if _, err := s.storedContent(m.ID, key, m.Content.Size(), nil, nil).WriteTo(&got); err != nil {
		return err
	}
	m.Content.WriteTo(&want)
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		return fmt.Errorf("message %s: other bytes than those stored", m.ID)
	}
	return nil
}

// slotSizes returns the sizes of the tables of the slots, without indexes.
func slotSizes(t testing.TB, s *Store) (sizes []int64) {
	t.Helper()
	use, err := s.slotUse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range use {
		sizes = append(sizes, u.heap)
	}
	return sizes
}

// Two nodes put, read and remove messages while both empty slots and move messages.
// Nothing is lost, and no reader fails.
func TestSlotsAtRandom(t *testing.T) {
	url := pgtest.Database(t)
	nodes := []*Store{open(t, url, &Options{Node: "a", Connections: 10}), open(t, url, &Options{Node: "b", Connections: 10})}
	const least = 32 << 10
	type stored struct {
		m   *queue.Message
		key int64
		s   *Store
	}
	var mu sync.Mutex // guards all and gone
	var all []stored  // not removed
	gone := map[string]bool{}
	pick := func(rnd *rand.Rand, remove bool) (x stored, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(all) == 0 || remove && len(all) < 8 {
			return x, false
		}
		i := rnd.IntN(len(all))
		x = all[i]
		if remove {
			gone[x.m.ID] = true
			all = slices.Delete(all, i, i+1)
		}
		return x, true
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work, service sync.WaitGroup
	for w := range 4 {
		s := nodes[w%2]
		rnd := rand.New(rand.NewPCG(1, uint64(w)))
		work.Go(func() {
			for i := range 60 {
				m := plainMessage(fmt.Sprintf("m%d.%d", w, i), rnd.IntN(12<<10))
				if i%20 == 0 {
					m = plainMessage(m.ID, chunkSize+i)
				}
				slot := s.currentSlot()
				if i%10 == 0 {
					slot = int16(rnd.IntN(slotCount)) // as a node that knows nothing of changes
				}
				key, err := storeIn(ctx, s, slot, m, i%2 == 0)
				if err != nil {
					t.Errorf("put: %v", err)
					return
				}
				mu.Lock()
				all = append(all, stored{m, key, s})
				mu.Unlock()
				if x, ok := pick(rnd, true); ok {
					if err := deleteMessage(ctx, s, x.m.ID); err != nil {
						t.Errorf("remove: %v", err)
					}
				}
			}
		})
		service.Go(func() { // a reader
			for ctx.Err() == nil {
				x, ok := pick(rand.New(rand.NewPCG(rand.Uint64(), 0)), false)
				if !ok {
					continue
				}
				err := sameContent(s, x.m, x.key)
				mu.Lock()
				removed := gone[x.m.ID]
				mu.Unlock()
				if err != nil && !(removed && errors.Is(err, queue.ErrNotFound)) {
					t.Errorf("read: %v", err)
					return
				}
			}
		})
	}
	for _, s := range nodes {
		service.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.maintainSlots(ctx, 0, least); err != nil && ctx.Err() == nil {
					t.Errorf("maintenance: %v", err)
					return
				}
			}
		})
	}
	work.Wait()
	stop()
	service.Wait()
	for _, x := range all {
		if err := sameContent(nodes[0], x.m, x.key); err != nil {
			t.Errorf("at the end: %v", err)
		}
	}
}

// A slot that only a few messages refer to is emptied: they are moved.
func TestStragglersAreMoved(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	ctx := t.Context()
	const least = 128 << 10
	type stored struct {
		m   *queue.Message
		key int64
	}
	var all []stored
	for i := range 100 {
		m := plainMessage(fmt.Sprint("m", i), 8<<10)
		key, err := storeIn(ctx, s, 0, m, false)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, stored{m, key})
	}
	for _, x := range all[3:] {
		if err := deleteMessage(ctx, s, x.m.ID); err != nil {
			t.Fatal(err)
		}
	}
	// 1: another slot becomes the current one, 2: the three are moved, 3: the slot is empty.
	for range 3 {
		if slotSizes(t, s)[0] == 0 {
			t.Error("the slot is empty before the messages were moved")
		}
		if _, err := s.maintainSlots(ctx, 0, least); err != nil {
			t.Fatal(err)
		}
	}
	if sizes := slotSizes(t, s); sizes[0] != 0 || sizes[s.currentSlot()] == 0 {
		t.Errorf("sizes of the slots: %d; the current one is %d", sizes, s.currentSlot())
	}
	for _, x := range all[:3] {
		if err := sameContent(s, x.m, x.key); err != nil {
			t.Error(err)
		}
	}
}

// A transaction that has stored content in a slot, and has not ended, keeps the slot from
// being emptied.
func TestEmptySlotWaitsForPut(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	ctx := t.Context()
	tx, err := s.db.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx) //nolint:errcheck // does nothing after Commit
	if err := s.storeContent(ctx, tx, 3, newContent{1, queue.String("content")}); err != nil {
		t.Fatal(err)
	}
	if emptied, err := s.emptySlot(ctx, 3); emptied || err != nil {
		t.Errorf("emptied %v, %v before the end of a Put", emptied, err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if emptied, err := s.emptySlot(ctx, 3); !emptied || err != nil {
		t.Errorf("emptied %v, %v after the end of a Put without a message", emptied, err)
	}
	if emptied, err := s.emptySlot(ctx, int(s.currentSlot())); emptied || err != nil {
		t.Errorf("the current slot: emptied %v, %v", emptied, err)
	}
}

// A Put that ends while empty_slot waits for it is not lost.
func TestEmptySlotSeesPutThatItWaitedFor(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	ctx := t.Context()
	for i := range 5 {
		m := plainMessage(fmt.Sprint("m", i), 100)
		put, err := s.db.pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer put.Rollback(ctx) //nolint:errcheck // does nothing after Commit
		b := &pgx.Batch{}
		key, err := queueMessage(b, s, 3, m, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := put.SendBatch(ctx, b).Close(); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if emptied, err := s.emptySlot(ctx, 3); emptied || err != nil {
				t.Errorf("emptied %v, %v", emptied, err)
			}
		})
		// The test holds if empty_slot gives up before the commit, but then finds less.
		for range 50 {
			if one[bool](t, s, `select exists (select from pg_locks where not granted)`) {
				break
			}
		}
		if err := put.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := sameContent(s, m, key); err != nil {
			t.Error(err)
		}
		if err := deleteMessage(ctx, s, m.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// Messages are moved only if that gives back more than it costs.
func TestPlanSlots(t *testing.T) {
	const mib = 1 << 20
	free := slotUse{}
	full := slotUse{heap: 9, size: 100 * mib, messages: 10, bytes: 90 * mib}
	waste := slotUse{heap: 9, size: 100 * mib, messages: 10, bytes: 10 * mib}
	little := slotUse{heap: 9, size: mib, messages: 1, bytes: mib}
	scrap := slotUse{heap: 9, size: 4 * mib, messages: 1, bytes: mib}
	ended := slotUse{heap: 9, size: 100 * mib}
	huge := slotUse{heap: 9, size: 2000 * mib, messages: 10, bytes: 1900 * mib}
	all := func(u slotUse, but ...slotUse) (use [slotCount]slotUse) {
		for i := range use {
			use[i] = u
		}
		copy(use[:], but)
		return use
	}
	for _, tc := range []struct {
		name string
		use  [slotCount]slotUse // slot 0 is the current one
		want slotPlan
	}{
		{"an empty database", all(free), slotPlan{nil, -1, -1}},
		{"little garbage", all(free, full), slotPlan{nil, -1, -1}},
		{"much garbage in the current slot", all(free, waste), slotPlan{nil, 7, -1}},
		{"only garbage in the current slot", all(free, ended), slotPlan{nil, 7, -1}},
		{"the current slot is full", all(free, huge), slotPlan{nil, 7, -1}},
		{"an old slot without messages", all(free, full, ended), slotPlan{[]int{1}, -1, -1}},
		{"an old slot with few messages", all(free, full, waste), slotPlan{nil, -1, 1}},
		{"an old slot with few messages, and one with less", all(free, full, little, waste), slotPlan{nil, -1, 2}},
		{"two old slots with garbage", all(free, full, scrap, waste), slotPlan{nil, -1, 1}},
		{"an old slot with many messages", all(free, full, full), slotPlan{nil, -1, -1}},
		{"a slot is emptied to become the current one", all(full, waste, ended), slotPlan{[]int{1}, 1, -1}},
		{"all slots are in use", all(huge, waste, full), slotPlan{nil, -1, -1}},
		{"all slots are in use, and a move is worth it", all(huge, waste, slotUse{heap: 9, size: 25 * mib, messages: 1, bytes: 20 * mib}), slotPlan{nil, -1, 1}},
		{"all slots are full", all(huge), slotPlan{nil, -1, -1}},
	} {
		if got := planSlots(0, tc.use, garbageLeast); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
