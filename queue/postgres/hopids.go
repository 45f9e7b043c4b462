package postgres

import (
	"context"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// hopIDs knows the numbers of next hops (table bridgehead.hop). Numbers never change,
// so a known one costs no round trip.
type hopIDs struct {
	tx func(context.Context, func(*pgx.Batch)) error // runs a transaction; set by Open

	mu   sync.Mutex
	ids  map[queue.NextHop]int32 // guarded by mu
	hops map[int32]queue.NextHop // guarded by mu
}

// maxHopIDs is how many numbers are kept. If there are more, all are forgotten.
const maxHopIDs = 100_000

const (
	selectHop = `select id from bridgehead.hop where connector = $1 and destination = $2`
	insertHop = `insert into bridgehead.hop (connector, destination) values ($1, $2) on conflict do nothing`
	nameHops  = `select id, connector, destination from bridgehead.hop where id = any($1)`
)

// id returns the number of a hop. It gives a new hop a number.
func (h *hopIDs) id(ctx context.Context, hop queue.NextHop) (int32, error) {
	id, ok, err := h.find(ctx, hop)
	if ok || err != nil {
		return id, err
	}
	connector, destination := hopTexts(hop)
	var found bool
	err = h.tx(ctx, func(b *pgx.Batch) {
		b.Queue(insertHop, connector, destination)
		b.Queue(selectHop, connector, destination).Query(scanID(&id, &found))
	})
	if err == nil {
		h.learn(hop, id)
	}
	return id, err
}

// find returns the number of a hop. ok is false if it has none, so no message waits
// for it.
func (h *hopIDs) find(ctx context.Context, hop queue.NextHop) (id int32, ok bool, err error) {
	if hop == (queue.NextHop{}) {
		return 0, true, nil
	}
	h.mu.Lock()
	id, ok = h.ids[hop]
	h.mu.Unlock()
	if ok {
		return id, true, nil
	}
	connector, destination := hopTexts(hop)
	err = h.tx(ctx, func(b *pgx.Batch) {
		b.Queue(selectHop, connector, destination).Query(scanID(&id, &ok))
	})
	if err != nil {
		return 0, false, err
	}
	if ok {
		h.learn(hop, id)
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
		} else if id, known := h.ids[hop]; known {
			ids[id] = true
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

// names returns the hops with these numbers.
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
		h.learn(names[id], id)
	}
	return names, nil
}

func (h *hopIDs) learn(hop queue.NextHop, id int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if hop == (queue.NextHop{}) {
		return
	}
	if h.ids == nil || len(h.ids) >= maxHopIDs || len(h.hops) >= maxHopIDs {
		h.ids, h.hops = make(map[queue.NextHop]int32), make(map[int32]queue.NextHop)
	}
	h.ids[hop], h.hops[id] = id, hop
}

// hopTexts returns the texts of a hop as the database can store them: UTF-8 without
// NUL.
func hopTexts(hop queue.NextHop) (connector, destination string) {
	return storableText(hop.Connector), storableText(hop.Destination)
}

func storableText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
