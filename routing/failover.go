package routing

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// maxWays bounds the connectors that one attempt goes through.
const maxWays = 5

// deliver attempts one hop, and where that is down the others that match.
func (r *Router) deliver(ctx context.Context, t *Table, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	c := t.byName[hop.Connector]
	if r.down.has(hop) {
		return r.deliverLast(ctx, t, hop, m, rcpts)
	}
	results := r.attempt(ctx, c, hop, m, rcpts)
	left := whereDown(results)
	switch {
	case len(left) == 0:
		r.down.clear(hop)
	case ctx.Err() != nil || c.Hold: // that says nothing about the hop
	case !r.markDown(hop, &results[left[0]]): // its hosts answered, only not safely enough
	default:
		r.detour(ctx, t, hop, m, rcpts, left, results)
	}
	return results
}

// deliverLast attempts a hop that was down a moment ago, only for what has no
// other way.
func (r *Router) deliverLast(ctx context.Context, t *Table, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	left := make([]int, len(rcpts)) // the recipients without a result that stands
	for i := range left {
		left[i] = i
	}
	if left = r.detour(ctx, t, hop, m, rcpts, left, results); len(left) == 0 {
		return results
	}
	put(results, left, r.attempt(ctx, t.byName[hop.Connector], hop, m, pick(rcpts, left)))
	if left = whereDown(results); len(left) == 0 {
		r.down.clear(hop)
	} else if ctx.Err() == nil {
		r.markDown(hop, &results[left[0]])
	}
	return results
}

func whereDown(results []queue.Result) (left []int) {
	for i := range results {
		if unreachable(results[i]) {
			left = append(left, i)
		}
	}
	return left
}

func refusedTLS(r *queue.Result) bool {
	var e *smtpclient.TLSError
	return errors.As(r.Err, &e)
}

// detour tries the other ways for the recipients in left, and returns those
// for whom none of them came to a result that counts.
func (r *Router) detour(ctx context.Context, t *Table, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient, left []int, results []queue.Result) []int {
	tried := []queue.NextHop{hop}
	for len(left) > 0 && len(tried) < maxWays && ctx.Err() == nil {
		done := make(map[int]bool)
		before := len(tried)
		part := pick(rcpts, left)
		r.grouped(part, func(k int) (queue.NextHop, bool) {
			return r.alternative(t, m, part[k].Addr, tried[:before])
		}, func(to queue.NextHop, group []int, rcpts []*queue.Recipient) {
			tried = append(tried, to)
			got := r.attempt(ctx, t.byName[to.Connector], to, m, rcpts)
			if i := slices.IndexFunc(got, unreachable); i >= 0 && ctx.Err() == nil {
				r.markDown(to, &got[i])
			}
			for k, g := range group {
				if counts(&got[k]) {
					results[left[g]] = got[k]
					done[left[g]] = true
				}
			}
		})
		if len(tried) == before {
			break
		}
		left = slices.DeleteFunc(left, func(i int) bool { return done[i] })
	}
	return left
}

// counts says whether a result from another way than the first may stand.
// What our own DNS or table says about that way is no verdict on mail that
// was not meant for it: it must not fail because its own hosts are down.
func counts(r *queue.Result) bool {
	return r.Outcome != queue.Unreachable && !isRouting(r.Err)
}

// alternative is the first way that was not tried and is neither down nor
// held. Where tried[0] is not the way that the table chose, but an agent or an
// operator, there is no other.
func (r *Router) alternative(t *Table, m *queue.Message, address string, tried []queue.NextHop) (alt queue.NextHop, found bool) {
	domain, err := canonicalDomain(address)
	if err != nil {
		return alt, false
	}
	first := true
	t.ways(m, domain, func(way candidate) bool {
		c, hop := way.c, way.c.hop(m, domain)
		if first && hop != tried[0] {
			return false
		}
		first = false
		if slices.Contains(tried, hop) || r.down.has(hop) || r.heldBack(c, hop) {
			return true
		}
		alt, found = hop, true
		return false
	})
	return alt, found
}

// markDown remembers that a hop was out of reach, unless it was its TLS that
// was at fault: whoever can spoil that must not thereby choose the way that
// mail takes.
func (r *Router) markDown(hop queue.NextHop, result *queue.Result) bool {
	r.logDown(hop, result)
	if refusedTLS(result) {
		r.down.clear(hop)
		return false
	}
	d := r.DownTime
	if d == 0 {
		d = defaultDownTime
	}
	if d > 0 {
		r.down.mark(hop, time.Now().Add(d))
	}
	return true
}

func (r *Router) logDown(hop queue.NextHop, result *queue.Result) {
	if r.Logger != nil {
		r.Logger.Warn("next hop unreachable", "connector", hop.Connector, "destination", hop.Destination,
			"reply", result.Reply.Message, "err", result.Err)
	}
}
