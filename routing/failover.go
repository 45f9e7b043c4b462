package routing

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// maxRoutes is the maximum number of hops that one attempt tries.
const maxRoutes = 5

// deliver attempts one hop. If it is down, deliver tries the alternatives.
func (r *Router) deliver(ctx context.Context, t *Table, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	c := t.byName[hop.Connector]
	if r.down.has(hop) {
		return r.deliverLast(ctx, t, hop, m, rcpts)
	}
	results := r.attempt(ctx, c, hop, m, rcpts)
	left := unreachableIndexes(results)
	switch {
	case len(left) == 0:
		r.markUp(hop, results)
	case ctx.Err() != nil || c.Hold: // the result is no evidence about the hop
	case !r.markDown(hop, &results[left[0]]): // its hosts answered, but TLS failed
	default:
		queue.Progress(ctx, rcpts, results) // the alternatives take time
		r.tryAlternatives(ctx, t, hop, m, rcpts, left, results)
	}
	return results
}

// deliverLast delivers mail whose hop was down recently. It attempts the hop
// itself only for mail that has no alternative.
func (r *Router) deliverLast(ctx context.Context, t *Table, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	left := make([]int, len(rcpts)) // the recipients without a valid result
	for i := range left {
		left[i] = i
	}
	if left = r.tryAlternatives(ctx, t, hop, m, rcpts, left, results); len(left) == 0 {
		return results
	}
	put(results, left, r.attempt(ctx, t.byName[hop.Connector], hop, m, pick(rcpts, left)))
	if left = unreachableIndexes(results); len(left) == 0 {
		r.markUp(hop, results)
	} else if ctx.Err() == nil {
		r.markDown(hop, &results[left[0]])
	}
	return results
}

func unreachableIndexes(results []queue.Result) (left []int) {
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

// tryAlternatives tries the alternatives for the recipients in left. It
// returns the recipients that have no valid result.
func (r *Router) tryAlternatives(ctx context.Context, t *Table, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient, left []int, results []queue.Result) []int {
	tried := []queue.NextHop{hop}
	for len(left) > 0 && len(tried) < maxRoutes && ctx.Err() == nil {
		done := make(map[int]bool)
		before := len(tried)
		part := pick(rcpts, left)
		r.grouped(ctx, part, func(k int) (queue.NextHop, bool) {
			return r.alternative(t, m, part[k].Addr, tried[:before])
		}, func(to queue.NextHop, group []int, rcpts []*queue.Recipient) []queue.Result {
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
			return got
		})
		if len(tried) == before {
			break
		}
		if left = slices.DeleteFunc(left, func(i int) bool { return done[i] }); len(left) > 0 && len(done) > 0 {
			queue.Progress(ctx, rcpts, results) // another hop is tried
		}
	}
	return left
}

// counts reports whether a result of an alternative is valid. A DNS or table
// error for the alternative is not: the mail was not meant for it, and must
// not fail because its own hosts are down.
func counts(r *queue.Result) bool {
	return r.Outcome != queue.Unreachable && !isRouting(r.Err)
}

// alternative returns the first hop that was not tried and is neither down nor
// held. If an agent or an operator chose the first hop, there is no
// alternative.
func (r *Router) alternative(t *Table, m *queue.Message, address string, tried []queue.NextHop) (alt queue.NextHop, found bool) {
	domain, err := canonicalDomain(address)
	if err != nil {
		return alt, false
	}
	first := true
	t.routes(m, domain, func(route candidate) bool {
		c, hop := route.c, route.c.hop(m, domain)
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

// markUp records that a hop was reached. An attempt that found all connections
// in use is no evidence of that.
func (r *Router) markUp(hop queue.NextHop, results []queue.Result) {
	if !slices.ContainsFunc(results, busy) {
		r.down.clear(hop)
	}
}

// markDown records that a hop was unreachable. If the reason was TLS, it does
// not count as down: an attacker who can break TLS must not be able to choose
// the route of mail.
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
