package routing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Held mail is sent for releaseTime after it was requested. If a client
// requests it again within releaseAgain, the reply is positive, but the queue
// is not searched again, because a search costs more than a request. The
// exception is a request after an attempt has failed.
const (
	releaseTime  = 10 * time.Minute
	releaseAgain = 10 * time.Second
)

// ETRN handles the SMTP command ETRN (RFC 1985) of a client that has
// authenticated as identity, or "" if it has not. It releases the mail that
// connectors with Hold keep for a node. The mail is sent to the connector's
// own hosts, never to the client, so any client can use ETRN for a connector
// without HoldAccounts.
//
// A node is a domain, "@domain" for the domain and its subdomains, or
// "#connector" for all mail of a connector. The last form is allowed only for
// HoldAccounts.
//
// The application sends the reply. The agent policy.HeldMail(router) passes
// ETRN and ATRN to a Router.
func (r *Router) ETRN(ctx context.Context, identity, node string) smtp.SMTPError {
	rels, err := r.releasesFor(identity, node, false)
	if err != nil {
		return reply(501, smtp.EnhancedCode{5, 5, 4}, err.Error())
	}
	if len(rels) == 0 {
		return reply(459, smtp.EnhancedCode{4, 7, 1}, fmt.Sprintf("Node %s not allowed: no held mail that you may request", quoted(node)))
	}
	n, err := r.startReleases(ctx, rels)
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

// quoted escapes a client's argument, so that it cannot add a line to the
// reply.
func quoted(s string) string {
	q := fmt.Sprintf("%q", s)
	return q[1:min(len(q)-1, 256)]
}

// WakeQueue returns a function for Router.Wake. Use it if the mail of the
// Router waits in q. If q is nil, the function returns -1 and an error.
func WakeQueue(q *queue.Queue) func(ctx context.Context, match func(queue.NextHop) bool) (int, error) {
	if q == nil {
		return func(context.Context, func(queue.NextHop) bool) (int, error) {
			return -1, errors.New("routing: WakeQueue: the queue is nil")
		}
	}
	return q.RetryQueues
}

// startReleases starts the releases and wakes the queue. It returns the number
// of messages, or -1 if the queue does not report it.
func (r *Router) startReleases(ctx context.Context, rels []*release) (int, error) {
	now := time.Now()
	for _, l := range rels {
		l.until = now.Add(releaseTime)
	}
	again := r.releases.add(now, rels...)
	if r.Wake == nil || again && rels[0].session == nil {
		return -1, nil
	}
	return r.Wake(ctx, func(hop queue.NextHop) bool {
		return slices.ContainsFunc(rels, func(l *release) bool { return l.covers(hop) })
	})
}

// releasesFor returns the releases for a node that a client may request. If
// strict is set, identity must be in HoldAccounts.
func (r *Router) releasesFor(identity, node string, strict bool) ([]*release, error) {
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

// releasedTo reports whether a client may request the connector's mail.
func (c *connector) releasedTo(identity string, strict bool) bool {
	switch {
	case !c.Hold || c.Disabled:
		return false
	case identity != "" && c.mayRequest[addr.FoldLocal(identity)]:
		return true
	}
	return !strict && len(c.HoldAccounts) == 0
}

// perDomain reports whether each domain has its own queue.
func (c *connector) perDomain() bool {
	return c.byDNS() && (len(c.hosts) == 0 || c.DirectFirst)
}
