package postgres

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A notice to the other nodes is sent in two ways. NOTIFY wakes those that LISTEN. A
// notice that says more than "there may be new mail" is also a row in the table notice:
// the others read it at their next look, which the NOTIFY makes happen at once.
// Without LISTEN (behind a pooler), a look comes about once a second.
//
// PostgreSQL takes a lock on the whole database when a transaction with NOTIFY commits.
// So a node sends at most one in noticeInterval, and does not wait for the disk in this
// transaction: a notice may be lost.

// noticeInterval is the least time between two transactions with notices.
const noticeInterval = 100 * time.Millisecond

// channel is the channel of LISTEN and NOTIFY. The payload is the incarnation of the
// sender and, if there is a row in the table notice, an exclamation mark.
const channel = "bridgehead"

// lookPayload is a payload after which all nodes look, the sender too.
const lookPayload = "0!"

// noticeBuffer is how many notices the channel of Notices holds.
const noticeBuffer = 8

// notices are the notices that wait. They are merged.
type notices struct {
	mu   sync.Mutex
	mail bool // guarded by mu, like all below
	// suspensions and retry are NoticeSuspensions and NoticeRetry. all means that
	// NoticeRetry is about all hops.
	suspensions, retry, all bool
	hops                    map[queue.NextHop]bool // of NoticeRetry, at most MaxNoticeHops
	own                     []queue.Notice         // about this node, in order
	wake                    chan struct{}          // has a value if there is something
}

func newNotices() *notices { return &notices{wake: make(chan struct{}, 1)} }

// add adds a notice.
func (w *notices) add(n queue.Notice) {
	w.mu.Lock()
	switch n.Kind {
	case queue.NoticeMail:
		w.mail = true
	case queue.NoticeSuspensions:
		w.suspensions = true
	case queue.NoticeRetry:
		w.addHops(n.Hops)
	default:
		w.addOwn(n)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// addHops adds the hops of a NoticeRetry. No hops mean all.
func (w *notices) addHops(hops []queue.NextHop) {
	w.retry = true
	if w.hops == nil {
		w.hops = make(map[queue.NextHop]bool)
	}
	for _, h := range hops {
		w.hops[h] = true
	}
	if len(hops) == 0 || len(w.hops) > queue.MaxNoticeHops {
		w.all = true
	}
	if w.all {
		w.hops = nil
	}
}

// addOwn adds a notice about this node. It takes the place of an earlier one of the same
// kind, or of the opposite one, so there are never more than a few.
func (w *notices) addOwn(n queue.Notice) {
	w.own = slices.DeleteFunc(w.own, func(o queue.Notice) bool {
		return o.Kind == n.Kind || opposite[o.Kind] == n.Kind
	})
	w.own = append(w.own, n)
}

var opposite = map[queue.NoticeKind]queue.NoticeKind{
	queue.NoticeDrain:   queue.NoticeUndrain,
	queue.NoticeUndrain: queue.NoticeDrain,
}

// take returns the notices that wait, and forgets them.
func (w *notices) take() (ns []queue.Notice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ns, w.own = w.own, nil
	if w.suspensions {
		ns = append(ns, queue.Notice{Kind: queue.NoticeSuspensions})
	}
	if w.retry {
		ns = append(ns, queue.Notice{Kind: queue.NoticeRetry, Hops: slices.Collect(maps.Keys(w.hops))})
	}
	if w.mail {
		ns = append(ns, queue.Notice{Kind: queue.NoticeMail})
	}
	w.mail, w.suspensions, w.retry, w.all, w.hops = false, false, false, false, nil
	return ns
}

// startNotices starts sending and receiving notices.
func (s *Store) startNotices(context.Context) error {
	for _, n := range s.node.incoming.take() {
		s.node.notices <- n // there is room: NoticeDrain and NoticeMail at most
	}
	s.background(s.node.sendNotices)
	s.background(s.node.deliverNotices)
	if !s.opts.Pooler {
		s.background(s.node.listen)
	}
	return nil
}

// Notify implements [queue.Cluster].
func (s *Store) Notify(n queue.Notice) { s.node.outgoing.add(n) }

// Notices implements [queue.Cluster].
func (s *Store) Notices() <-chan queue.Notice { return s.node.notices }

// sendNotices sends the notices of this node to the others.
func (n *node) sendNotices(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.outgoing.wake:
		}
		if waiting := n.outgoing.take(); len(waiting) > 0 && n.send(ctx, n.id.Load(), waiting) != nil {
			// Without contact, the others look anyway when it is back, for new mail at
			// least. The rest is sent later.
			for _, w := range waiting {
				n.outgoing.add(w)
			}
			sleep(ctx, n.lookInterval())
		}
		sleep(ctx, noticeInterval)
	}
}

// send sends notices of the incarnation id in one transaction.
func (n *node) send(ctx context.Context, id int64, waiting []queue.Notice) error {
	payload, rows := formatPayload(id, waiting)
	if !rows && n.members.Load() <= 1 {
		return nil // the other nodes that may start now look for mail anyway
	}
	return n.store.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(`select set_config('synchronous_commit', 'off', true)`)
		for _, w := range waiting {
			if w.Kind != queue.NoticeMail {
				b.Queue(`insert into bridgehead.notice (node, kind, hops) values ($1, $2, $3)`, id, int16(w.Kind), hopsJSON(w.Hops))
			}
		}
		b.Queue(`select pg_notify($1, $2)`, channel, payload)
	})
}

// hopsJSON returns the column hops. It is text for the reason that info has.
func hopsJSON(hops []queue.NextHop) *string {
	if len(hops) == 0 {
		return nil
	}
	b, _ := json.Marshal(hops)
	text := string(b)
	return &text
}

// deliverNotices gives the notices for this node to the Queue, in order. If the Queue is
// slow, they are merged meanwhile.
func (n *node) deliverNotices(ctx context.Context) {
	defer close(n.notices)
	for {
		for _, notice := range n.incoming.take() {
			select {
			case n.notices <- notice:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-n.incoming.wake:
		}
	}
}

// listen receives the notifications of other nodes on a connection of its own, and
// connects again when it breaks. Without it, the looks find everything.
func (n *node) listen(ctx context.Context) {
	for ctx.Err() == nil {
		n.listenOnce(ctx)
		n.lookNow() // for what was sent meanwhile
		sleep(ctx, n.lookInterval())
	}
}

func (n *node) listenOnce(ctx context.Context) {
	conn, err := n.store.db.connect(ctx)
	if err != nil {
		return
	}
	defer closeConn(conn)
	if _, err := conn.Exec(ctx, "listen "+channel); err != nil {
		return
	}
	n.incoming.add(queue.Notice{Kind: queue.NoticeMail})
	for {
		got, err := n.nextNotification(ctx, conn)
		if err != nil {
			return
		}
		mine, rows := parsePayload(got.Payload, n.id.Load())
		switch {
		case mine:
		case rows:
			n.lookNow()
		default:
			n.incoming.add(queue.Notice{Kind: queue.NoticeMail})
		}
	}
}

// nextNotification waits for a notification. If none comes for a while, it checks
// whether the server still answers: a network that loses all packets breaks no connection
// on which nothing is sent.
func (n *node) nextNotification(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	quiet := max(n.store.opts.DeadAfter, time.Second)
	for {
		wait, cancel := context.WithTimeout(ctx, quiet)
		got, err := conn.WaitForNotification(wait)
		cancel()
		if err == nil || ctx.Err() != nil || conn.IsClosed() {
			return got, err
		}
		ping, cancel := context.WithTimeout(ctx, quiet)
		err = conn.Ping(ping)
		cancel()
		if err != nil {
			return nil, err
		}
	}
}

// formatPayload returns the payload of the notification about some notices. rows
// reports whether there are rows in the table notice.
func formatPayload(id int64, ns []queue.Notice) (payload string, rows bool) {
	rows = slices.ContainsFunc(ns, func(n queue.Notice) bool { return n.Kind != queue.NoticeMail })
	payload = strconv.FormatInt(id, 10)
	if rows {
		payload += "!"
	}
	return payload, rows
}

// parsePayload is the inverse of formatPayload. mine reports whether the incarnation id
// has sent it.
func parsePayload(payload string, id int64) (mine, rows bool) {
	sender, rows := strings.CutSuffix(payload, "!")
	return sender == strconv.FormatInt(id, 10), rows
}

// A noticeReader knows which rows of the table notice this node has read. The numbers
// of the rows are not in the order of the commits. So a row is looked for until the
// rows with higher numbers were read some time ago.
type noticeReader struct {
	low  int64               // all rows up to this one are read
	seen map[int64]time.Time // rows above low that were read, and when
}

// noticeDelay is the longest time that a commit of a notice may take.
const noticeDelay = 5 * time.Second

// isNew reports whether the row was not read before, and remembers it.
func (r *noticeReader) isNew(id int64, now time.Time) bool {
	if _, known := r.seen[id]; known || id <= r.low {
		return false
	}
	if r.seen == nil {
		r.seen = make(map[int64]time.Time)
	}
	r.seen[id] = now
	return true
}

// advance forgets the rows that were read long enough ago.
func (r *noticeReader) advance(now time.Time) {
	for id, at := range r.seen {
		if now.Sub(at) > noticeDelay {
			r.low = max(r.low, id)
		}
	}
	maps.DeleteFunc(r.seen, func(id int64, _ time.Time) bool { return id <= r.low })
}

// sqlNotices reads the notices of the other nodes, the oldest first.
const sqlNotices = `select id, kind, hops from bridgehead.notice where id > $1 and node <> $2 order by id limit 1000`

// A noticeRow is a row of the table notice.
type noticeRow struct {
	id     int64
	notice queue.Notice
}

func scanNotice(row pgx.CollectableRow) (r noticeRow, err error) {
	var kind int16
	var hops []byte
	if err := row.Scan(&r.id, &kind, &hops); err != nil {
		return r, err
	}
	r.notice.Kind = queue.NoticeKind(kind)
	if hops != nil {
		err = json.Unmarshal(hops, &r.notice.Hops)
	}
	return r, err
}

// received acts on the notices of other nodes that a look has read.
func (n *node) received(rows []noticeRow, now time.Time) {
	for _, r := range rows {
		if n.reader.isNew(r.id, now) && (r.notice.Kind == queue.NoticeRetry || r.notice.Kind == queue.NoticeSuspensions) {
			n.incoming.add(r.notice)
		}
	}
	n.reader.advance(now)
}
