package routing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Held mail flows for releaseTime once it was asked for. A client that asks
// again within releaseAgain gets a good answer, but the queue is not looked
// through again, because that costs more than asking: unless an attempt has
// failed since.
const (
	releaseTime  = 10 * time.Minute
	releaseAgain = 10 * time.Second
)

// ETRN answers the command of that name (RFC 1985) of a client that has
// proved to be identity ("" for nobody): it releases the mail that connectors
// with Hold keep for a node. The mail goes to the connector's own hosts, never
// to the client, so connectors without HoldAccounts let everybody ask.
//
// A node is a domain, "@domain" for it and all below, or "#connector" for all
// mail of a connector; the last is only for HoldAccounts.
//
// The reply is for the application to send: policy.HeldMail(router) is the
// agent that puts ETRN and ATRN to a Router.
func (r *Router) ETRN(ctx context.Context, identity, node string) smtp.SMTPError {
	rels, err := r.askedFor(identity, node, false)
	if err != nil {
		return reply(501, smtp.EnhancedCode{5, 5, 4}, err.Error())
	}
	if len(rels) == 0 {
		return reply(459, smtp.EnhancedCode{4, 7, 1}, fmt.Sprintf("Node %s not allowed: no mail is held for it that you may ask for", quoted(node)))
	}
	n, err := r.letGo(ctx, rels)
	switch {
	case err != nil:
		return reply(458, smtp.EnhancedCode{4, 3, 0}, fmt.Sprintf("Unable to queue messages for node %s", quoted(node)))
	case n == 0:
		return reply(251, smtp.EnhancedCode{2, 0, 0}, fmt.Sprintf("OK, no messages waiting for node %s", quoted(node)))
	case n > 0:
		return reply(253, smtp.EnhancedCode{2, 0, 0}, fmt.Sprintf("OK, %d pending messages for node %s started", n, quoted(node)))
	}
	return reply(250, smtp.EnhancedCode{2, 0, 0}, fmt.Sprintf("OK, queuing for node %s started", quoted(node)))
}

func reply(code int, enhanced smtp.EnhancedCode, text string) smtp.SMTPError {
	return smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

// quoted keeps a client's argument from ending our reply early.
func quoted(s string) string {
	q := fmt.Sprintf("%q", s)
	return q[1:min(len(q)-1, 256)]
}

// WakeQueue is the Wake of a Router whose mail waits in q.
func WakeQueue(q *queue.Queue) func(ctx context.Context, match func(queue.NextHop) bool) (int, error) {
	return q.RetryQueues
}

// letGo opens the releases and wakes the queue. The number of messages is
// negative where the queue does not tell.
func (r *Router) letGo(ctx context.Context, rels []*release) (int, error) {
	now := time.Now()
	for _, l := range rels {
		l.until = now.Add(releaseTime)
	}
	again := r.releases.add(now, rels...)
	if r.Wake == nil || again && rels[0].turn == nil {
		return -1, nil
	}
	return r.Wake(ctx, func(hop queue.NextHop) bool {
		return slices.ContainsFunc(rels, func(l *release) bool { return l.covers(hop) })
	})
}

// askedFor finds what a client may have of the mail for a node. strict
// demands that it is named in HoldAccounts.
func (r *Router) askedFor(identity, node string, strict bool) ([]*release, error) {
	t := r.table()
	if name, ok := strings.CutPrefix(node, "#"); ok {
		if c := t.byName[name]; c != nil && c.releasedTo(identity, true) {
			return []*release{{connector: c.Name}}, nil
		}
		return nil, nil
	}
	name, below := strings.CutPrefix(node, "@")
	domain, err := hostName(name)
	if err != nil {
		return nil, err
	}
	var rels []*release
	t.matches(domain, func(k candidate) bool {
		l := &release{connector: k.c.Name, domain: domain, below: below, whole: !k.c.perDomain()}
		if k.c.releasedTo(identity, strict) && !slices.ContainsFunc(rels, func(o *release) bool { return o.connector == l.connector }) {
			rels = append(rels, l)
		}
		return true
	})
	return rels, nil
}

// releasedTo says whether a client may ask for the connector's mail.
func (c *connector) releasedTo(identity string, strict bool) bool {
	switch {
	case !c.Hold || c.Disabled:
		return false
	case identity != "" && slices.Contains(c.HoldAccounts, identity):
		return true
	}
	return !strict && len(c.HoldAccounts) == 0
}

// perDomain says whether each domain has a queue of its own.
func (c *connector) perDomain() bool {
	return c.byDNS() && (len(c.hosts) == 0 || c.DirectFirst)
}
