package smtpclient

import (
	"context"
	"errors"
	"time"
)

// attempt is the state of one Send.
type attempt struct {
	t   *Transport
	ctx context.Context
	dst *Destination
	d   *delivery

	sessions int     // sessions that carried the message
	used     string  // the address of an idle session that carried it
	fresh    bool    // an idle session is no help
	full     *target // accepts no more connections
	errs     []error // of the hosts with which no session could be opened
}

// sendOn sends the message in a session. It reports whether each recipient has
// a final result. If the host had closed an idle session, there was no reply,
// no content was sent, and the delivery is unchanged.
func (a *attempt) sendOn(c *Client) (done bool) {
	t, d := a.t, a.d
	kept := c.carried > 0
	err := c.do(a.ctx, func() error { return c.deliver(d) })
	counts := true
	switch {
	case err == nil:
		c.carried++
		c.mon.idle(c.carried)
	case kept && !c.replied && a.ctx.Err() == nil && !d.bounds.over(time.Now()):
		c.Close()
		t.log(c.cfg.Connector, "idle session was closed by the host", c.cfg.Host, c.addr, err)
		counts = false
	default:
		c.Close()
		t.log(c.cfg.Connector, "session failed", c.cfg.Host, c.addr, err)
		d.fail(c, err)
	}
	renew := c.renew && counts
	if counts && !renew {
		a.sessions++
		if kept {
			a.used = c.addr
		}
	}
	a.fresh = a.fresh || renew || !counts
	a.requestMail(c)
	t.put(a.dst, c) // after this, c may be another Send's
	return !d.retry(renew)
}

// sendToHosts tries one address after the other, until each recipient has a
// final result or no address is left. If all sessions of an address are in use,
// it tries another one of the same preference before it waits.
func (a *attempt) sendToHosts() {
	a.d.progress()
	targets, errs, err := a.t.targets(a.ctx, a.dst)
	if err != nil {
		a.d.setUnreachable(a.ctx, nil, err)
		return
	}
	a.errs = errs
	for tries := 0; len(targets) > 0 && tries < or(a.t.MaxAddrs, 5) && a.mayTry(); {
		tg := &targets[0]
		if a.full != nil && (tg.failed || tg.host.Preference > a.full.host.Preference) {
			break // it is better to wait for a host that works
		}
		if tg.addr == a.used {
			targets = targets[1:]
			continue
		}
		sessions := a.sessions
		c, opened := a.session(tg)
		if opened {
			tries++
		}
		if c != nil {
			a.t.places.put(a.t.key(a.dst), c.key, time.Now(), a.t.idleTimeout())
		}
		if c != nil && a.sendOn(c) {
			return
		}
		if c == nil || a.sessions > sessions {
			targets = targets[1:]
		} else if opened {
			tries-- // a new session with the same host
		}
	}
	a.end()
}

// mayTry reports whether the limits allow another session.
func (a *attempt) mayTry() bool {
	return a.sessions < or(a.t.MaxSessions, 2) && a.ctx.Err() == nil && !a.d.bounds.over(time.Now())
}

// session returns a session with a host: an idle one, or a new one. If c is nil,
// there is none. opened reports whether the host was connected to.
func (a *attempt) session(tg *target) (c *Client, opened bool) {
	t := a.t
	a.d.progress()
	k := t.sessionKey(a.dst, tg)
	if !a.fresh {
		if c := t.takeFrom(&k); c != nil {
			return c, false
		}
	}
	if c, ok := t.acquire(&k); c != nil {
		return c, false
	} else if !ok {
		a.full = or(a.full, tg)
		return nil, false
	}
	c, err := t.open(a.ctx, a.dst, tg, a.d.bounds)
	if err == nil {
		return c, true
	}
	if isFull(err) && t.MaxWait >= 0 {
		a.full = or(a.full, tg)
	}
	a.errs = append(a.errs, err)
	a.d.retry(false)
	return nil, true
}

// end gives a result to the recipients that no host has replied about, or waits
// for a session.
func (a *attempt) end() {
	d := a.d
	switch {
	case a.full == nil || !a.mayTry():
		if len(a.errs) == 0 && d.bounds.over(time.Now()) {
			a.errs = append(a.errs, errAttemptTime)
		}
		d.setUnreachable(a.ctx, a.errs, errors.Join(a.errs...))
	case d.m.NoWait || a.t.MaxWait < 0:
		d.setBusy(a.full)
	default:
		a.wait()
	}
}
