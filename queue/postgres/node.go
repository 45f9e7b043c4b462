package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A node is this process among the nodes that share the queue. Its row in the table
// node is called an incarnation. An incarnation that the others have declared dead never
// comes back: all its leases are lost, and the node begins a new incarnation.
type node struct {
	store    *Store
	began    time.Time     // beatSent is relative to it, by the monotonic clock
	id       atomic.Int64  // of the incarnation; 0: there is none now
	beatSent atomic.Int64  // when the last beat that succeeded was sent
	members  atomic.Int32  // living nodes at the last look
	twinSeen atomic.Int64  // when another process with this name was last seen to beat, or 0
	wake     chan struct{} // has a value: look now
	dead     chan []pulse  // to the goroutine of takeover

	outgoing, incoming *notices
	notices            chan queue.Notice // of Store.Notices

	mu       sync.Mutex // guards all below; held during a look
	line     line
	observer observer
	reader   noticeReader
	own      int64 // the last beat of this incarnation that was read
	draining bool
	stopped  bool
	warned   time.Time // when another process with this name was last logged
}

// startNode registers this node and starts its heartbeat.
func (s *Store) startNode(ctx context.Context) error {
	n := &node{
		store:    s,
		began:    time.Now(),
		wake:     make(chan struct{}, 1),
		dead:     make(chan []pulse, 1),
		outgoing: newNotices(),
		incoming: newNotices(),
		notices:  make(chan queue.Notice, noticeBuffer),
		line:     line{db: s.db, timeout: max(s.opts.Beat, time.Second)},
		observer: observer{beat: s.opts.Beat, deadAfter: s.opts.DeadAfter},
	}
	s.node = n
	s.atClose(n.stop)
	if err := n.start(ctx); err != nil {
		return err
	}
	s.background(n.run)
	s.background(n.runTakeover)
	return nil
}

// start registers the node, and measures the clock of the database. A new node reads no
// notices of the time before.
func (n *node) start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	sent := time.Now()
	err := n.line.tx(ctx, func(b *pgx.Batch) {
		sent = time.Now()
		b.Queue(sqlClock).QueryRow(func(row pgx.Row) error {
			var database time.Time
			err := row.Scan(&database)
			n.store.clock.start(sent, time.Now(), database)
			return err
		})
		b.Queue(sqlNewestNotice).QueryRow(func(row pgx.Row) error { return row.Scan(&n.reader.low) })
	})
	if err != nil {
		return err
	}
	return n.lookLocked(ctx)
}

// lookInterval is the time between two looks at the other nodes. It is shorter than
// the interval of the beats, so that a node that stops beating is found in time.
func (n *node) lookInterval() time.Duration { return min(n.store.opts.Beat/5, time.Second) }

// run looks at the other nodes, and beats, until ctx ends.
func (n *node) run(ctx context.Context) {
	tick := time.NewTicker(n.lookInterval())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		case <-tick.C:
		}
		n.look(ctx) // the line logs an error
	}
}

// lookNow makes the next look happen at once.
func (n *node) lookNow() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// incarnation returns the number of this incarnation, for the columns node of messages
// that it leases. Between two incarnations it returns an error.
func (n *node) incarnation() (int64, error) {
	if id := n.id.Load(); id != 0 {
		return id, nil
	}
	return 0, fmt.Errorf("%w: this node was declared dead, and has no contact yet", queue.ErrUnavailable)
}

// silence returns how long ago the last beat that succeeded was sent.
func (n *node) silence() time.Duration {
	return time.Since(n.began) - time.Duration(n.beatSent.Load())
}

// A view is what a look has found.
type view struct {
	sent     time.Time
	alive    bool      // this incarnation beats
	own      int64     // its beat
	others   []pulse   // the other incarnations that beat
	database time.Time // the database's clock
	draining bool
	notices  []noticeRow
}

const (
	sqlRegister = `insert into bridgehead.node (id, name, info) values ($1, $2, $3)`
	sqlBeat     = `update bridgehead.node set beat = beat + 1, beat_at = clock_timestamp()
		where id = $1 and state = 'alive'`
	sqlPulses = `select id, name, beat from bridgehead.node where state = 'alive'`
	sqlClock  = `select clock_timestamp()`

	sqlNewestNotice = `select coalesce(max(id), 0) from bridgehead.notice`
)

// look reads the beats of all nodes in one round trip. If a beat of this node is due,
// it beats in the same round trip.
func (n *node) look(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lookLocked(ctx)
}

func (n *node) lookLocked(ctx context.Context) error {
	if n.stopped {
		return queue.ErrClosed
	}
	id := n.id.Load()
	register := id == 0
	if register {
		id = randomID()
	}
	beat := register || n.silence() >= n.store.opts.Beat-n.lookInterval()/2
	var v view
	err := n.line.tx(ctx, func(b *pgx.Batch) {
		v = view{sent: time.Now()}
		v.queue(b, n, id)
		// The beat locks the row of this node until the end of the transaction. It is
		// the last statement, so that a process that stops reading cannot prolong that.
		switch {
		case register:
			b.Queue(sqlRegister, id, n.store.opts.Node, n.info()).Exec(v.beats)
		case beat:
			b.Queue(sqlBeat, id).Exec(v.beats)
		}
	})
	switch {
	case err != nil:
		n.observer.failed()
		return err
	case !v.alive:
		n.lost("the other nodes have declared this node dead, because it did not report, or the database has been restored; " +
			"the leases of this node are lost")
		return nil
	case v.own < n.own:
		// What this incarnation has in the database is older than what it knows.
		if err := n.store.db.tx(ctx, func(b *pgx.Batch) { b.Queue(sqlGiveUp, id) }); err != nil {
			return err
		}
		n.lost("the database has been restored, or has lost commits in a failover; the leases of this node are lost")
		return nil
	}
	n.own = v.own
	received := time.Now()
	if !beat { // the time of a commit to the disk would be part of the round trip
		n.store.clock.measured(v.sent, received, v.database)
	}
	if beat {
		n.beaten(id, v.sent)
	}
	n.seen(&v, received)
	return nil
}

// beats records whether the statement that beats has found the row of this node alive.
func (v *view) beats(tag pgconn.CommandTag) error {
	v.alive = tag.RowsAffected() == 1
	return nil
}

// beaten records a beat of an incarnation that succeeded. If MayBegin refused deliveries
// before, the Queue learns that it permits them again.
func (n *node) beaten(id int64, sent time.Time) {
	refused := n.mayBegin() != nil
	n.beatSent.Store(int64(sent.Sub(n.began)))
	n.id.Store(id)
	if refused {
		n.incoming.add(queue.Notice{Kind: queue.NoticeContact})
	}
}

// queue adds the statements of a look to b.
func (v *view) queue(b *pgx.Batch, n *node, id int64) {
	b.Queue(sqlClock).QueryRow(func(row pgx.Row) error { return row.Scan(&v.database) })
	b.Queue(sqlPulses).Query(func(rows pgx.Rows) (err error) {
		var p pulse
		_, err = pgx.ForEachRow(rows, []any{&p.id, &p.name, &p.beat}, func() error {
			if p.id == id {
				v.alive, v.own = true, p.beat
			} else {
				v.others = append(v.others, p)
			}
			return nil
		})
		return err
	})
	b.Queue(sqlDraining, n.store.opts.Node).QueryRow(func(row pgx.Row) error { return row.Scan(&v.draining) })
	b.Queue(sqlNotices, n.reader.low, id).Query(func(rows pgx.Rows) (err error) {
		v.notices, err = pgx.CollectRows(rows, scanNotice)
		return err
	})
}

// seen acts on what a look has found.
func (n *node) seen(v *view, received time.Time) {
	n.members.Store(int32(1 + len(v.others)))
	n.checkName(v.others)
	if dead := n.observer.look(v.sent, received, v.others); len(dead) > 0 {
		select {
		case n.dead <- dead:
		default: // the goroutine of takeover is busy: the next look finds them again
		}
	}
	if v.draining != n.draining {
		n.draining = v.draining
		kind := queue.NoticeUndrain
		if v.draining {
			kind = queue.NoticeDrain
		}
		n.incoming.add(queue.Notice{Kind: kind})
	}
	n.received(v.notices, received)
	n.incoming.add(queue.Notice{Kind: queue.NoticeMail})
}

// checkName logs an error if another process with the name of this node beats. Both
// work, because each has its own incarnation. But draining one drains both.
func (n *node) checkName(others []pulse) {
	for _, p := range others {
		if p.name != n.store.opts.Node || !n.observer.beaten(p) {
			continue
		}
		n.twinSeen.Store(int64(time.Since(n.began)))
		if time.Since(n.warned) > time.Minute || n.warned.IsZero() {
			n.store.log.Error(twinText, "node", p.name)
			n.warned = time.Now()
		}
	}
}

const twinText = "another process runs with the name of this node; give each node its own name"

// warnings are for queue.StoreStats.
func (n *node) warnings() []string {
	seen := time.Duration(n.twinSeen.Load())
	if seen == 0 || time.Since(n.began)-seen > 3*n.store.opts.Beat {
		return nil
	}
	return []string{twinText}
}

// lost ends this incarnation.
func (n *node) lost(why string) {
	n.id.Store(0)
	n.own, n.reader = 0, noticeReader{}
	n.store.log.Error(why, "node", n.store.opts.Node, "silent", n.silence().Round(time.Millisecond))
	n.store.leases.reset()
	n.store.hops.forget()
	n.incoming.add(queue.Notice{Kind: queue.NoticeLost})
	n.lookNow()
}

// sqlGiveUp makes all nodes free the messages of an incarnation that has ended itself.
const sqlGiveUp = `update bridgehead.node set state = 'dead' where id = $1`

const sqlStop = `update bridgehead.node set state = 'stopped', beat_at = clock_timestamp()
	where id = $1 and state = 'alive'`

// stop ends this incarnation in an orderly way, and frees its messages.
func (n *node) stop(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stopped = true
	n.line.close()
	id := n.id.Swap(0)
	if id == 0 {
		return nil
	}
	if err := n.store.db.tx(ctx, func(b *pgx.Batch) { b.Queue(sqlStop, id) }); err != nil {
		return err
	}
	freed, err := n.free(ctx, id)
	if freed > 0 {
		n.send(ctx, id, []queue.Notice{{Kind: queue.NoticeMail}}) // the db logs an error
	}
	return err
}

// info returns Options.Info for the column info. A pooler does not tell the type of the
// column, so it is text.
func (n *node) info() string {
	if n.store.opts.Info == nil {
		return "{}"
	}
	b, _ := json.Marshal(n.store.opts.Info)
	return string(b)
}

// randomID returns a number for a new incarnation, which is not 0.
func randomID() int64 {
	var b [8]byte
	rand.Read(b[:])
	return int64(binary.LittleEndian.Uint64(b[:])>>1 | 1)
}
