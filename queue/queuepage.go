package queue

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/wildcard"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A QueueQuery selects next hops and their order. The zero value selects all, in the
// order of destination and connector.
type QueueQuery struct {
	// Hop selects one next hop.
	Hop *NextHop
	// Connector and Destination are patterns: case does not matter, and '*'
	// matches any text. An empty one matches all.
	Connector, Destination string
	Status                 QueueStatus
	Order                  QueueOrder
	// After is the last hop of the page before: the page begins with the hop
	// that follows it now. Nil means the first page.
	After *NextHop
	Limit int // maximum length of the page; 0 means 100
}

// QueueOrder is an order of next hops. Next hops that are equal are in the order of
// destination and connector.
type QueueOrder uint8

const (
	ByName       QueueOrder = iota // destination, then connector
	ByMessages                     // QueueInfo.Stored, highest first
	ByBytes                        // QueueInfo.Bytes, highest first
	ByOldest                       // QueueInfo.Oldest, oldest first; hops without mail are last
	ByDeliveries                   // QueueInfo.Deliveries, highest first
)

// QueuePage returns a page of the next hops that s selects, and the number of all that
// it selects. Its memory and time for a hop that is not on the page are small, so a page
// costs much less than [Queue.Queues] if there are many hops.
func (q *Queue) QueuePage(ctx context.Context, s QueueQuery) (page []QueueInfo, total int, err error) {
	q.setup()
	if q.Store == nil {
		return nil, 0, errNoStore
	}
	lines, err := q.queueLines(ctx, s.Order)
	if err != nil {
		return nil, 0, err
	}
	suspensions := q.suspensionsNow()
	limit := cmp.Or(max(s.Limit, 0), 100)
	after := s.after(lines)
	var first []*queueLine // the first ones after it, in order
	for i := range lines {
		l := &lines[i]
		if suspensions.of(l.hop) != nil {
			l.status = QueueSuspended
		}
		if s.Hop != nil && l.hop != *s.Hop || s.Status != 0 && s.Status != l.status || !wildcard.Match(s.Connector, l.hop.Connector) || !wildcard.Match(s.Destination, l.hop.Destination) {
			continue
		}
		total++
		if after != nil && l.compare(after) <= 0 || len(first) == limit && l.compare(first[limit-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(first, l, (*queueLine).compare)
		if len(first) == limit {
			first = first[:limit-1]
		}
		first = slices.Insert(first, at, l)
	}
	return q.describeLines(first), total, nil
}

// A queueLine has what QueuePage compares of a next hop.
type queueLine struct {
	hop    NextHop
	sum    *HopSum // nil if it has no mail
	status QueueStatus
	key    int64 // in the order of the query, lowest first
}

func (l *queueLine) compare(m *queueLine) int {
	return cmp.Or(cmp.Compare(l.key, m.key), cmp.Compare(l.hop.Destination, m.hop.Destination), cmp.Compare(l.hop.Connector, m.hop.Connector))
}

// after returns the line of s.After, or one that takes its place in the order by name.
func (s *QueueQuery) after(lines []queueLine) *queueLine {
	if s.After == nil {
		return nil
	}
	for i := range lines {
		if lines[i].hop == *s.After {
			return &lines[i]
		}
	}
	if s.Order == ByName {
		return &queueLine{hop: *s.After}
	}
	return nil // it has ended: begin again
}

// queueLines returns a line for each next hop.
func (q *Queue) queueLines(ctx context.Context, order QueueOrder) ([]queueLine, error) {
	sums, err := q.Store.Hops(ctx)
	if err != nil {
		return nil, err
	}
	type state struct {
		status     QueueStatus
		deliveries int
	}
	states := map[NextHop]state{}
	q.locked(func(core *sched.Scheduler) {
		core.Hops(func(h *sched.Hop) {
			info := h.Info()
			states[NextHop(h.Key)] = state{queueStatus(info.State), info.Inflight}
		})
	})
	lines := make([]queueLine, 0, len(sums)+len(states))
	add := func(hop NextHop, sum *HopSum) {
		st, known := state{}, false
		if len(states) > 0 {
			st, known = states[hop]
			delete(states, hop)
		}
		l := queueLine{hop: hop, sum: sum, status: st.status}
		switch {
		case known:
		case aside(hop):
			l.status = QueueAside
		default:
			l.status = QueueReady
		}
		l.key = orderKey(order, sum, st.deliveries)
		lines = append(lines, l)
	}
	for i := range sums {
		add(sums[i].Hop, &sums[i])
	}
	for hop := range states {
		add(hop, nil)
	}
	return lines, nil
}

// orderKey returns the key of a next hop in an order.
func orderKey(order QueueOrder, sum *HopSum, deliveries int) int64 {
	if sum == nil {
		sum = &HopSum{Oldest: time.Unix(0, 1<<63-1)}
	}
	switch order {
	case ByMessages:
		return -int64(sum.Count)
	case ByBytes:
		return -sum.Bytes
	case ByOldest:
		return sum.Oldest.UnixNano()
	case ByDeliveries:
		return -int64(deliveries)
	}
	return 0
}

// describeLines returns the whole information about the next hops of a page.
func (q *Queue) describeLines(lines []*queueLine) []QueueInfo {
	page, limits := make([]QueueInfo, len(lines)), make([]hopLimit, len(lines))
	var suspensions suspensionList
	q.locked(func(core *sched.Scheduler) {
		for i, l := range lines {
			page[i].Hop = l.hop
			limits[i] = q.describeHop(core, &page[i], l.sum)
			page[i].Status = l.status
		}
		suspensions = maps.Clone(q.susp.list)
	})
	for i := range page {
		page[i].Suspension = suspensions.of(page[i].Hop)
		q.limit(&page[i], limits[i])
	}
	return page
}
