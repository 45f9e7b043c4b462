package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A lane is the messages that wait for one hop with one priority, in the order of
// ready and id. The index message_waiting has the messages that are not leased by lane.
type lane struct {
	hop  int32
	prio int16
}

// A position is a place in a lane.
type position struct {
	ready int64
	id    string
}

func (p position) before(o position) bool {
	return p.ready < o.ready || p.ready == o.ready && p.id < o.id
}

// lanes has the places where the lanes begin. A claim starts there. So it costs nothing to
// skip lanes of hops that it must not claim, and it does not read the rows before, which
// are dead: as long as a transaction with an old snapshot is
// open (a backup, for example), vacuum cannot remove the index entries of messages
// that were claimed, and to find 100 messages behind 200,000 dead entries takes 18,000
// pages.
//
// A begin is what this node knows: no message of the lane is before it. It is too late only
// if another node has stored an earlier message since. So a scan looks for the true
// begins about every five seconds, and whenever a claim finds fewer messages than it wants.
type lanes struct {
	scanning sync.Mutex // held during a scan

	mu      sync.Mutex // guards all below
	begins  map[lane]begin
	watches map[*watch]bool
	scanned time.Time     // when the last scan ended; zero: a scan is due
	again   bool          // a scan is due although one may be in progress
	took    time.Duration // how long it took
	// next is where the next scan begins, if there are more lanes than most; nil: at
	// the first lane.
	next *lane
	most int // maximum number of lanes; 0: maxLanes
}

// A begin is where a lane begins. If it is exact, there was a message at this position.
type begin struct {
	position
	exact bool
}

// A watch has the first row of each lane that this node has written since the watch began.
// Who reads the begins, asks the database, and then changes the begins, does this with a
// watch: the answer may be without such a row. Guarded by lanes.mu.
type watch map[lane]position

// watch begins a watch, and unwatch ends it.
func (l *lanes) watch() *watch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watches == nil {
		l.watches = make(map[*watch]bool)
	}
	w := &watch{}
	l.watches[w] = true
	return w
}

func (l *lanes) unwatch(w *watch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.watches, w)
}

const (
	// scanInterval is the longest time between two scans.
	scanInterval = 5 * time.Second
	// scanShare is what share of the time scans may take: 1/scanShare.
	scanShare = 10
	// maxLanes limits the memory for lanes. If a queue has more, a node knows some of
	// them at a time, and others after each scan.
	maxLanes = 50_000
)

// wrote records that this node has written, and committed, a row that is not leased. It
// must be called for each such row, before a call of Claim can expect to find it.
func (l *lanes) wrote(hop int32, prio int16, ready int64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, p := lane{hop, prio}, position{ready, id}
	if b, ok := l.begins[k]; !ok || !b.before(p) {
		l.set(k, begin{p, true})
	}
	for w := range l.watches {
		if first, ok := (*w)[k]; !ok || p.before(first) {
			(*w)[k] = p
		}
	}
}

// left records that a message of a hop has left its lane, perhaps from its begin, although
// no claim of the first messages of the lane has taken it.
func (l *lanes) left(hop int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for prio := int16(-9); prio <= 9; prio++ {
		if b, ok := l.begins[lane{hop, prio}]; ok {
			b.exact = false
			l.begins[lane{hop, prio}] = b
		}
	}
}

func (l *lanes) max() int {
	if l.most == 0 {
		return maxLanes
	}
	return l.most
}

// set sets where a lane begins. The caller has locked mu.
func (l *lanes) set(k lane, b begin) {
	if l.begins == nil {
		l.begins = make(map[lane]begin)
	}
	if _, ok := l.begins[k]; !ok && len(l.begins) >= l.max() {
		for other := range l.begins { // any one
			delete(l.begins, other)
			break
		}
	}
	l.begins[k] = b
}

// forget makes a scan due, because messages may be anywhere: a takeover has freed them.
func (l *lanes) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again = true
}

// scanDue reports whether it is time for a scan. more means that it would be good to
// find more messages than those that are known.
func (l *lanes) scanDue(more bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := time.Since(l.scanned)
	return l.scanned.IsZero() || l.again || since > max(scanInterval, scanShare*l.took) || more && since > scanShare*l.took
}

// unknown reports whether there may be lanes that this node does not know.
func (l *lanes) unknown() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next != nil
}

// A selection says which lanes a Claim wants.
type selection struct {
	only   *int32 // if not nil, only this hop
	except map[int32]bool
}

func (sel *selection) has(hop int32) bool {
	return (sel.only == nil || *sel.only == hop) && !sel.except[hop]
}

// A laneBegin is a lane and where it begins.
type laneBegin struct {
	lane
	begin
	// until is the last ready that a claim may take from the lane: messages of other
	// lanes may come before later ones.
	until int64
}

// compare is the order of the lanes that begin like l and o, as in Claim.
func (l laneBegin) compare(o laneBegin, leastUrgent bool) int {
	return cmp.Or(compareUrgency(l.prio, o.prio, leastUrgent), cmp.Compare(l.ready, o.ready))
}

// compareUrgency is the order of priorities in Claim.
func compareUrgency(a, b int16, leastUrgent bool) int {
	if leastUrgent {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(b, a)
}

// choose returns the lanes that a claim of max messages needs. Of the lanes with an
// exact begin, the first max ones have the first max messages, unless other owners have
// taken some. All lanes whose begin is not exact may have some. all means that these are
// all lanes of sel that are ready. If they are not, the next lane limits what may be taken
// from those chosen.
func (l *lanes) choose(sel *selection, now int64, max int, leastUrgent bool) (chosen []laneBegin, all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var exact []laneBegin
	for k, b := range l.begins {
		if b.ready > now || !sel.has(k.hop) {
			continue
		}
		if x := (laneBegin{k, b, math.MaxInt64}); b.exact {
			exact = append(exact, x)
		} else {
			chosen = append(chosen, x)
		}
	}
	if len(exact) <= max {
		return append(chosen, exact...), true
	}
	slices.SortFunc(exact, func(a, b laneBegin) int { return a.compare(b, leastUrgent) })
	next := exact[max]
	chosen = slices.DeleteFunc(append(chosen, exact[:max]...), func(x laneBegin) bool { return next.compare(x, leastUrgent) < 0 })
	for i := range chosen {
		if chosen[i].prio == next.prio {
			chosen[i].until = next.ready
		}
	}
	return chosen, false
}

// inexact returns the lanes whose begin is not exact, at most max of them.
func (l *lanes) inexact(max int) (chosen []laneBegin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, b := range l.begins {
		if !b.exact && len(chosen) < max {
			chosen = append(chosen, laneBegin{lane: k, begin: b})
		}
	}
	return chosen
}

// first returns the first ready of the lanes that sel selects. ok is false if there is
// none.
func (l *lanes) first(sel *selection) (ready int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, b := range l.begins {
		if sel.has(k.hop) && (!ok || b.ready < ready) {
			ready, ok = b.ready, true
		}
	}
	return ready, ok
}

// moved records that a lane that began at old now begins at b, or has no message if ok
// is false. w has watched since old was read: the rows that this node has written in the
// meantime are not skipped.
func (l *lanes) moved(w *watch, k lane, old position, b begin, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now, there := l.begins[k]; !there || now.before(old) || old.before(now.position) {
		return
	}
	if p, written := (*w)[k]; written && (!ok || p.before(b.position)) {
		b, ok = begin{p, false}, true
	}
	if ok {
		l.begins[k] = b
	} else {
		delete(l.begins, k)
	}
}

// laneColumns are lanes as parameters of a statement.
type laneColumns struct {
	hops   []int32
	prios  []int16
	readys []int64
	ids    []string
	untils []int64
}

func laneParams(ls []laneBegin) (p laneColumns) {
	for _, l := range ls {
		p.hops, p.prios = append(p.hops, l.hop), append(p.prios, l.prio)
		p.readys, p.ids = append(p.readys, l.ready), append(p.ids, l.id)
		p.untils = append(p.untils, l.until)
	}
	return p
}

// selection returns which lanes c wants. ok is false if it wants none.
func (s *Store) selection(ctx context.Context, c *queue.Claim) (sel *selection, ok bool, err error) {
	if c.Only != nil {
		id, ok, err := s.hops.find(ctx, *c.Only)
		return &selection{only: &id}, ok, err
	}
	return &selection{except: s.hops.known(c.Except)}, true, nil
}
