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

// ATRN answers the command of that name (RFC 2645) of a client that has proved
// to be identity: it may take over, on its own connection, the mail that
// connectors with Hold keep for it. Only identities in HoldAccounts may; each
// may have all of the connector's mail for the domains that it names, or all
// whatsoever of a connector with smart hosts or another transport.
//
// domains is the command's argument: domains with commas between them, or
// nothing for all. When the reply's code is 250 it must be sent, and then the
// connection be given to the Turn.
func (r *Router) ATRN(identity, domains string) (smtp.SMTPError, *Turn) {
	if identity == "" {
		return reply(530, smtp.EnhancedCode{5, 7, 0}, "Authentication required"), nil
	}
	t := &Turn{router: r, identity: identity, slot: make(chan struct{}, 1), over: make(chan struct{}), moved: make(chan struct{}, 1)}
	if domains = strings.TrimSpace(domains); domains == "" {
		for _, c := range r.table().connectors {
			if c.releasedTo(identity, true) {
				t.releases = append(t.releases, &release{connector: c.Name, turn: t})
			}
		}
	} else {
		for domain := range strings.SplitSeq(domains, ",") {
			rels, err := r.askedFor(identity, strings.TrimSpace(domain), true)
			if err != nil {
				return reply(501, smtp.EnhancedCode{5, 5, 4}, err.Error()), nil
			}
			if len(rels) == 0 {
				t.releases = nil
				break
			}
			for _, l := range rels {
				l.turn = t
			}
			t.releases = append(t.releases, rels...)
		}
	}
	if len(t.releases) == 0 {
		return reply(450, smtp.EnhancedCode{4, 7, 1}, "ATRN request refused"), nil
	}
	return reply(250, smtp.EnhancedCode{2, 0, 0}, "OK now reversing the connection"), t
}

// A Turn is a client's right to have mail over its own connection.
type Turn struct {
	// Config is for the conversation, as its timeouts and protocol log; it may
	// be changed before Serve. Hostname is the Router's, where it is empty,
	// and Host the client's identity.
	Config smtpclient.Config

	router   *Router
	identity string
	releases []*release

	mu        sync.Mutex // guards what follows
	client    *smtpclient.Client
	sent      int // messages that were tried
	delivered int // of these, those that the client has taken for a recipient at least

	slot  chan struct{} // holds a token while the conversation is in use
	over  chan struct{} // closed when the conversation has ended
	moved chan struct{} // has a token after each message
}

// How long the queue may take to come with the next message before we take it
// that there is none: of those that it told of, and later.
const (
	turnIdle   = 10 * time.Second
	turnLinger = time.Second
)

// Serve sends the mail that waits over conn, on which we are the client from
// now on, and ends when there is none left, with QUIT.
func (t *Turn) Serve(ctx context.Context, conn net.Conn) error {
	t.router.init()
	cfg := t.Config
	cfg.Hostname = cmp.Or(cfg.Hostname, t.router.hostname)
	cfg.Host = cmp.Or(cfg.Host, t.identity)
	c := smtpclient.NewClient(conn, &cfg)
	if err := c.Hello(ctx); err != nil {
		c.Close()
		return fmt.Errorf("turned connection of %s: %w", t.identity, err)
	}
	t.client = c // not shared before drain
	err := t.drain(ctx)
	t.router.releases.end(t)
	if err != nil {
		conn.Close() // ends a message that is on its way
	}
	t.slot <- struct{}{} // the conversation is ours again, for good
	close(t.over)
	if err == nil {
		err = c.Quit(ctx)
	}
	c.Close()
	return err
}

// drain has the queue bring what waits until it brings nothing any more: what
// it counted, and what came meanwhile.
func (t *Turn) drain(ctx context.Context) error {
	idle := turnIdle
	for before := -1; t.carried() > before; idle = turnLinger {
		before = t.carried()
		n, err := t.router.letGo(ctx, t.releases)
		if err != nil || n == 0 {
			return err
		}
		if err := t.wait(ctx, before+n, n > 0, idle); err != nil {
			return err
		}
	}
	return nil
}

// wait returns when n messages went in all, if that is known, or none came for
// a while.
func (t *Turn) wait(ctx context.Context, n int, known bool, idle time.Duration) error {
	for !t.broken() && !(known && t.carried() >= n) {
		timer := time.NewTimer(idle)
		select {
		case <-t.moved:
			timer.Stop()
		case <-timer.C:
			if len(t.slot) == 0 { // no message is on its way
				return nil
			}
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// Delivered is how many messages the client has taken so far.
func (t *Turn) Delivered() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.delivered
}

func (t *Turn) carried() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent
}

func (t *Turn) broken() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.client == nil
}

// deliver sends one message, when those before it are through.
func (t *Turn) deliver(ctx context.Context, j *Job) []queue.Result {
	select {
	case t.slot <- struct{}{}:
	case <-t.over:
		return allAlike(len(j.Recipients), notAsked())
	case <-ctx.Done():
		return allAlike(len(j.Recipients), queue.Result{Outcome: queue.Deferred, Err: ctx.Err(), Reply: localError("Broken off")})
	}
	defer func() { <-t.slot }()
	t.mu.Lock()
	c := t.client
	t.mu.Unlock()
	if c == nil {
		return allAlike(len(j.Recipients), notAsked())
	}
	sent := c.Send(ctx, clientMessage(j))
	results := make([]queue.Result, len(sent))
	broken, delivered := false, false
	for i := range sent {
		results[i] = result(&sent[i], false)
		broken = broken || isBroken(sent[i].Err)
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

// isBroken says whether an error ended the conversation.
func isBroken(err error) bool {
	var refusal *smtp.SMTPError
	return err != nil && !errors.As(err, &refusal)
}
