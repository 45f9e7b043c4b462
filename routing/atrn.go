package routing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// ATRN handles the SMTP command ATRN (RFC 2645) of a client that has
// authenticated as identity. The client receives held mail over its own
// connection. identity must be one of HoldAccounts of a connector with Hold.
// The client then receives that connector's mail for the domains that it
// names. If the connector has one queue for all domains (smart hosts without
// DirectFirst, or another transport), the client receives all mail of the
// connector.
//
// domains is the argument of the command: domains separated by commas, or
// empty for all. If the code of the reply is 250, send the reply, and then
// pass the connection to ReverseSession.Serve. Otherwise the ReverseSession is
// nil.
func (r *Router) ATRN(identity, domains string) (smtp.SMTPError, *ReverseSession) {
	if identity == "" {
		return reply(530, smtp.EnhancedCode{5, 7, 0}, "Authentication required"), nil
	}
	t := &ReverseSession{router: r, identity: identity, slot: make(chan struct{}, 1), over: make(chan struct{}), moved: make(chan struct{}, 1)}
	if domains = strings.TrimSpace(domains); domains == "" {
		for _, c := range r.table().connectors {
			if c.releasedTo(identity, true) {
				t.releases = append(t.releases, &release{connector: c.Name, session: t})
			}
		}
	} else {
		for domain := range strings.SplitSeq(domains, ",") {
			rels, err := r.releasesFor(identity, strings.TrimSpace(domain), true)
			if err != nil {
				return reply(501, smtp.EnhancedCode{5, 5, 4}, err.Error()), nil
			}
			if len(rels) == 0 {
				t.releases = nil
				break
			}
			for _, l := range rels {
				l.session = t
			}
			t.releases = append(t.releases, rels...)
		}
	}
	if len(t.releases) == 0 {
		return reply(450, smtp.EnhancedCode{4, 7, 1}, "ATRN request refused"), nil
	}
	return reply(250, smtp.EnhancedCode{2, 0, 0}, "OK now reversing the connection"), t
}

// A ReverseSession sends held mail to a client over the client's own
// connection.
type ReverseSession struct {
	// Config has the settings of the session, for example timeouts and the
	// protocol log. It can be changed before Serve. The default of
	// Config.Hostname is Router.Hostname. The default of Config.Host is the
	// identity of the client.
	Config smtpclient.Config

	router   *Router
	identity string
	releases []*release

	mu        sync.Mutex // guards client, sent and delivered
	client    *smtpclient.Client
	sent      int // messages that were attempted
	delivered int // messages that the client accepted for at least one recipient

	slot  chan struct{} // contains a token while client is in use
	over  chan struct{} // closed when the session has ended
	moved chan struct{} // receives a token after each message
}

// reverseIdle is how long to wait for the next message that the queue has
// announced, and reverseLinger how long to wait for further messages, before
// the session ends.
const (
	reverseIdle   = 10 * time.Second
	reverseLinger = time.Second
)

// Serve sends the held mail over conn and ends the session with QUIT when no
// mail is left. On conn, the Router is now the SMTP client. Call Serve once.
func (t *ReverseSession) Serve(ctx context.Context, conn net.Conn) error {
	t.router.init()
	cfg := t.Config
	cfg.Hostname = cmp.Or(cfg.Hostname, t.router.hostname)
	cfg.Host = cmp.Or(cfg.Host, t.identity)
	c := smtpclient.NewClient(conn, &cfg)
	if err := c.Hello(ctx); err != nil {
		c.Close()
		return fmt.Errorf("reversed connection of %s: %w", t.identity, err)
	}
	t.client = c // not shared before drain
	err := t.drain(ctx)
	t.router.releases.end(t)
	if err != nil {
		conn.Close() // interrupts a message that is being sent
	}
	t.slot <- struct{}{} // no deliver uses client from here on
	close(t.over)
	if err == nil {
		err = c.Quit(ctx)
	}
	c.Close()
	return err
}

// drain makes the queue send the waiting mail, until no new mail arrives.
func (t *ReverseSession) drain(ctx context.Context) error {
	idle := reverseIdle
	for before := -1; t.messagesSent() > before; idle = reverseLinger {
		before = t.messagesSent()
		n, err := t.router.startReleases(ctx, t.releases)
		if err != nil || n == 0 {
			return err
		}
		if err := t.wait(ctx, before+n, n > 0, idle); err != nil {
			return err
		}
	}
	return nil
}

// wait returns when n messages were sent in total, if n is known, or when none
// came for the time idle.
func (t *ReverseSession) wait(ctx context.Context, n int, known bool, idle time.Duration) error {
	for !t.broken() && !(known && t.messagesSent() >= n) {
		timer := time.NewTimer(idle)
		select {
		case <-t.moved:
			timer.Stop()
		case <-timer.C:
			if len(t.slot) == 0 { // no message is being sent
				return nil
			}
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// Delivered returns the number of messages that the client has accepted so
// far.
func (t *ReverseSession) Delivered() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.delivered
}

func (t *ReverseSession) messagesSent() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent
}

func (t *ReverseSession) broken() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.client == nil
}

// deliver sends one message. It waits for the messages before it.
func (t *ReverseSession) deliver(ctx context.Context, j *Job) []queue.Result {
	select {
	case t.slot <- struct{}{}:
	case <-t.over:
		return sameResults(len(j.Recipients), notRequested())
	case <-ctx.Done():
		return sameResults(len(j.Recipients), queue.Result{Outcome: queue.Deferred, Err: ctx.Err(), Reply: localError("Delivery interrupted")})
	}
	defer func() { <-t.slot }()
	t.mu.Lock()
	c := t.client
	t.mu.Unlock()
	if c == nil {
		return sameResults(len(j.Recipients), notRequested())
	}
	m := clientMessage(j)
	m.Progress, m.MayFinish = progress(ctx, j), queue.MayFinish
	results := c.Send(ctx, m)
	broken, delivered := false, false
	for i := range results {
		results[i] = ownReply(results[i])
		broken = broken || isBroken(results[i].Err)
		delivered = delivered || results[i].Outcome == queue.Success
	}
	t.mu.Lock()
	t.sent++
	if delivered {
		t.delivered++
	}
	if broken {
		t.client = nil
	}
	t.mu.Unlock()
	select {
	case t.moved <- struct{}{}:
	default:
	}
	return results
}

// isBroken reports whether an error ended the session.
func isBroken(err error) bool {
	var reply *smtp.SMTPError
	return err != nil && !errors.As(err, &reply)
}
