package postgres

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// largeContent is the size above which a content is not kept in memory and its message
// is not stored together with others.
const largeContent = 1 << 20

// A put is a call of Put.
type put struct {
	row      newRow
	schedule queue.Schedule
	large    bool
	doubt    *group // the group of a large message, if its outcome is unknown
	unknown  error  // the error of its transaction then
	done     chan struct{}

	state putState // guarded by puts.mu, like all below
	err   error    // the result; set when state becomes putDone
}

// putState is the state of a put.
type putState uint8

const (
	putWaits     putState = iota // for a group
	putCommits                   // its group is in progress, or its outcome is unknown
	putAbandoned                 // the same, but Put has returned an error
	putDone
)

// Put implements [queue.Store].
//
// Calls at the same time share transactions. If the answer to a commit is lost, Put
// finds out whether it was committed before it returns: see outcome.go. When ctx ends, Put
// returns at once if s.Owner is set or the transaction has not begun.
func (s *Store) Put(ctx context.Context, m *queue.Message, sched queue.Schedule) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if err := queue.ValidID(m.ID); err != nil {
		return err
	}
	// A removal of an earlier message with this ID may not be recorded yet.
	if err := s.settle(ctx, m.ID); err != nil {
		return err
	}
	p, err := s.newPut(ctx, m, sched)
	if err != nil {
		return err
	}
	s.puts.open.begin(p)
	if p.large {
		err = s.putLarge(ctx, p)
	} else {
		err = s.puts.add(p)
	}
	if err == nil {
		err = s.puts.wait(ctx, p)
	} else { // it is not in a group
		s.puts.open.end(p)
	}
	if _, ok := queue.InMemory(m.Content); err == nil && !ok {
		m.Content = s.storedContent(m.ID, p.row.content.key, p.row.size, nil, nil)
	}
	return err
}

// newPut encodes the row of a new message. A content that is not large is in memory
// then.
func (s *Store) newPut(ctx context.Context, m *queue.Message, sched queue.Schedule) (*put, error) {
	r := newRow{
		id: m.ID, prio: priority(m), size: m.Content.Size(), received: nanos(m.Received),
		leased: sched.Owner != "", attempted: attempted(m.Recipients),
		content: newContent{s.contentKey(), m.Content}, sender: s.hash.of(m.From),
		rcpts: arrayText(s.hash.recipients(m.Recipients)),
	}
	p := &put{schedule: sched, large: r.size > largeContent, done: make(chan struct{})}
	var err error
	if r.content.content, err = contentToSend(m.Content, p.large); err != nil {
		return nil, err
	}
	if r.hop, err = s.hops.id(ctx, sched.Hop); err != nil {
		return nil, err
	}
	if r.envelope, err = encodeEnvelope(m); err != nil {
		return nil, err
	}
	if r.state, err = encodeState(m, sched, s.clock.ahead()); err != nil {
		return nil, err
	}
	r.ready, r.due, r.wait = s.clock.due(sched)
	r.volatile = s.clock.resets(sched, r.due)
	p.row = r
	return p, nil
}

// contentToSend returns c in memory, unless it is large.
func contentToSend(c queue.Content, large bool) (queue.Content, error) {
	if _, ok := queue.InMemory(c); ok || large {
		return c, nil
	}
	b := make([]byte, c.Size())
	if n, err := c.ReadAt(b, 0); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("queue: the content of a new message cannot be read: %w", err)
	}
	return queue.Bytes(b), nil
}

// priority returns the column prio.
func priority(m *queue.Message) int16 { return int16(max(-9, min(9, m.Options.Priority))) }

// attempted returns the column attempted.
func attempted(rs []*queue.Recipient) bool {
	for _, r := range rs {
		if r.Attempts > 0 {
			return true
		}
	}
	return false
}

// arrayText returns an array as PostgreSQL writes it. A parameter cannot be an array of
// arrays of different lengths.
func arrayText(ns []int64) string {
	b := append(make([]byte, 0, 2+21*len(ns)), '{')
	for i, n := range ns {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(append(b, '}'))
}

// A newRow is a row of the table message, for insertMessages.
type newRow struct {
	id        string
	hop       int32
	prio      int16
	ready     int64
	due       *int64
	wait      int64
	volatile  bool
	leased    bool
	size      int64
	received  int64
	attempted bool
	content   newContent
	sender    int64
	rcpts     string
	envelope  []byte
	state     []byte
}

// insertMessages stores the messages of a group. Their lease has the number 1. A
// message whose ID is in the queue already is missing.
const insertMessages = `
with stored as (
	insert into bridgehead.message (id, hop, prio, ready, due, wait, volatile, node, lease,
		size, received, attempted, slot, content, sender, rcpts, envelope, state)
	select id, hop, prio, ready, due, wait, case when volatile then $2::bigint end, case when leased then $2 end, 1,
		size, received, attempted, $3, content, sender, rcpts::bigint[], envelope, state
	from unnest($4::text[], $5::integer[], $6::smallint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::boolean[],
		$11::boolean[], $12::bigint[], $13::bigint[], $14::boolean[], $15::bigint[], $16::bigint[], $17::text[],
		$18::bytea[], $19::bytea[]) as new (id, hop, prio, ready, due, wait, volatile, leased,
		size, received, attempted, content, sender, rcpts, envelope, state)
	on conflict (id) do nothing
	returning content)
insert into bridgehead.outcome (key, missing)
values ($1, array(
	select n from unnest($15::bigint[]) with ordinality as new (content, n)
	where not exists (select from stored where stored.content = new.content)))
returning missing`

// queueMessages adds the rows of a group to b, for the node and with contents in slot.
func queueMessages(b *pgx.Batch, g *group, node int64, slot int16, ps []*put) {
	n := len(ps)
	ids, rcpts := make([]string, n), make([]string, n)
	hops, prios := make([]int32, n), make([]int16, n)
	readies, dues, waits := make([]int64, n), make([]*int64, n), make([]int64, n)
	volatiles, leaseds, attempteds := make([]bool, n), make([]bool, n), make([]bool, n)
	sizes, receiveds, keys, senders := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	envelopes, states := make([][]byte, n), make([][]byte, n)
	for i, p := range ps {
		r := &p.row
		ids[i], rcpts[i], hops[i], prios[i] = r.id, r.rcpts, r.hop, r.prio
		readies[i], dues[i], waits[i] = r.ready, r.due, r.wait
		volatiles[i], leaseds[i], attempteds[i] = r.volatile, r.leased, r.attempted
		sizes[i], receiveds[i], keys[i], senders[i] = r.size, r.received, r.content.key, r.sender
		envelopes[i], states[i] = r.envelope, r.state
	}
	g.queue(b, insertMessages, g.key, node, slot, ids, hops, prios, readies, dues, waits, volatiles,
		leaseds, sizes, receiveds, attempteds, keys, senders, rcpts, envelopes, states)
}
