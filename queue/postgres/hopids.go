package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// hopIDs knows the numbers of next hops (table bridgehead.hop), so a known one costs no
// round trip.
//
// The row of a hop that no message has waited for since hopUnused is removed, because
// strangers can make the relay send mail to any number of domains. If the hop is used
// later, it gets another number. A number is not used again. So that no node writes the
// number of a row that is removed, a node uses a number that it knows for at most hopFresh,
// and then writes the time of the use in the row before it uses the number again.
type hopIDs struct {
	tx func(context.Context, func(*pgx.Batch)) error // runs a transaction; set by Open

	mu   sync.Mutex
	ids  map[queue.NextHop]hopID // guarded by mu
	hops map[int32]queue.NextHop // guarded by mu
}

// A hopID is the number of a hop.
type hopID struct {
	id   int32
	read time.Time // when it was read from the database
	used bool      // the time of the use was written then
}

// maxHopIDs is how many numbers are kept. If there are more, all are forgotten.
const maxHopIDs = 100_000

// hopFresh is how long a known number is right. It is much shorter than the two days in
// removeHops.
const hopFresh = 12 * time.Hour

const (
	selectHop = `select id from bridgehead.hop where connector = $1 and destination = $2`
	// insertHop does not use on conflict alone, which would take a new number each time.
	insertHop = `
insert into bridgehead.hop (connector, destination) select $1::text, $2::text
where not exists (select from bridgehead.hop where connector = $1 and destination = $2) on conflict do nothing`
	useHop = `
update bridgehead.hop set used = clock_timestamp()
where connector = $1 and destination = $2 and used < clock_timestamp() - interval '1 hour'`
	nameHops = `select id, connector, destination from bridgehead.hop where id = any($1)`

	// removeHops removes the hops that are not used. If a row is used at the same time, the
	// last condition is checked again.
	removeHops = `
delete from bridgehead.hop h where h.id = any(array(
	select h.id from bridgehead.hop h where h.id > 0 and h.used < clock_timestamp() - interval '2 days'
	and not exists (select from bridgehead.message m where m.node is null and m.hop = h.id)
	and not exists (select from bridgehead.message m where m.node is not null and m.hop = h.id)
	limit $1))
and h.used < clock_timestamp() - interval '2 days'`
)

// id returns the number of a hop for a message that will be written. It gives a new hop a
// number.
func (h *hopIDs) id(ctx context.Context, hop queue.NextHop) (int32, error) {
	if hop == (queue.NextHop{}) {
		return 0, nil
	}
	h.mu.Lock()
	known := h.ids[hop]
	h.mu.Unlock()
	if known.used && time.Since(known.read) < hopFresh {
		return known.id, nil
	}
	now := time.Now()
	connector, destination := hopTexts(hop)
	var id int32
	var found bool
	err := h.tx(ctx, func(b *pgx.Batch) {
		b.Queue(useHop, connector, destination)
		b.Queue(insertHop, connector, destination)
		b.Queue(selectHop, connector, destination).Query(scanID(&id, &found))
	})
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("%w: a next hop was removed while it was stored", queue.ErrUnavailable)
	}
	h.learn(hop, hopID{id, now, true})
	return id, nil
}

// find returns the number of a hop. ok is false if it has none, so no message waits
// for it.
func (h *hopIDs) find(ctx context.Context, hop queue.NextHop) (id int32, ok bool, err error) {
	if hop == (queue.NextHop{}) {
		return 0, true, nil
	}
	h.mu.Lock()
	known := h.ids[hop]
	h.mu.Unlock()
	if time.Since(known.read) < hopFresh {
		return known.id, true, nil
	}
	now := time.Now()
	connector, destination := hopTexts(hop)
	err = h.tx(ctx, func(b *pgx.Batch) {
		b.Queue(selectHop, connector, destination).Query(scanID(&id, &ok))
	})
	if err != nil {
		return 0, false, err
	}
	if ok {
		h.learn(hop, hopID{id, now, false})
	}
	return id, ok, nil
}

// known returns the numbers of those hops that are true and whose numbers are known.
// It costs no round trip.
func (h *hopIDs) known(hops map[queue.NextHop]bool) map[int32]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := make(map[int32]bool, len(hops))
	for hop, ok := range hops {
		if !ok {
			continue
		}
		if hop == (queue.NextHop{}) {
			ids[0] = true
		} else if known, ok := h.ids[hop]; ok {
			ids[known.id] = true
		}
	}
	return ids
}

func scanID(id *int32, found *bool) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		if *found = rows.Next(); *found {
			return rows.Scan(id)
		}
		return rows.Err()
	}
}

// names returns the hops with these numbers. A number that is not in the database is that
// of the zero next hop, so that its messages are routed again.
func (h *hopIDs) names(ctx context.Context, ids []int32) (map[int32]queue.NextHop, error) {
	names := make(map[int32]queue.NextHop, len(ids))
	var unknown []int32
	h.mu.Lock()
	for _, id := range ids {
		if hop, ok := h.hops[id]; ok || id == 0 {
			names[id] = hop
		} else {
			unknown = append(unknown, id)
		}
	}
	h.mu.Unlock()
	if len(unknown) == 0 {
		return names, nil
	}
	now := time.Now()
	err := h.tx(ctx, func(b *pgx.Batch) {
		b.Queue(nameHops, unknown).Query(func(rows pgx.Rows) error {
			var id int32
			var hop queue.NextHop
			_, err := pgx.ForEachRow(rows, []any{&id, &hop.Connector, &hop.Destination}, func() error {
				names[id] = hop
				return nil
			})
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	for _, id := range unknown {
		h.learn(names[id], hopID{id, now, false})
	}
	return names, nil
}

// forget forgets all numbers. It is for a process that may have been stopped for long: the
// monotonic clock does not count the time for which a computer is suspended.
func (h *hopIDs) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids, h.hops = nil, nil
}

func (h *hopIDs) learn(hop queue.NextHop, id hopID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if hop == (queue.NextHop{}) {
		return
	}
	if h.ids == nil || len(h.ids) >= maxHopIDs || len(h.hops) >= maxHopIDs {
		h.ids, h.hops = make(map[queue.NextHop]hopID), make(map[int32]queue.NextHop)
	}
	if old := h.ids[hop]; old.id != id.id || id.used || time.Since(old.read) >= hopFresh {
		h.ids[hop] = id
	}
	h.hops[id.id] = hop
}

// hopTexts returns the texts of a hop as the database can store them: UTF-8 without
// NUL.
func hopTexts(hop queue.NextHop) (connector, destination string) {
	return storableText(hop.Connector), storableText(hop.Destination)
}

func storableText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
