package smtpclient

import (
	"errors"
	"time"
)

// errBusy means that all connections that a host may have are in use.
var errBusy = errors.New("all connections that are allowed to the host are in use")

// errFull means that the host accepts no more connections, and that no session
// became free within MaxWait.
var errFull = errors.New("the host accepts no more connections, and no session became free in time")

// isFull reports whether a connection was refused because the host accepts no
// more connections.
func isFull(err error) bool {
	var e *hostError
	return errors.As(err, &e) && e.full
}

// refusedConnection reports whether the host, or a firewall before it, refused
// the connection: err came before the reply to EHLO.
func refusedConnection(c *Client, err error) bool {
	return err != nil && (c == nil || c.helo == "")
}

// wait sends the message to a host that accepts no more connections. It waits
// for a session that another Send has finished with, or opens a new one when
// another session has ended.
func (a *attempt) wait() {
	t := a.t
	for end := time.Now().Add(or(t.MaxWait, time.Minute)); ; {
		a.d.progress()
		c, err := a.await(a.full, time.Until(end))
		if err == nil && c == nil {
			c, err = t.open(a.ctx, a.dst, a.full, a.d.bounds)
		}
		if err != nil {
			a.errs = append(a.errs, err)
			if isFull(err) && time.Now().Before(end) && a.mayTry() {
				continue
			}
			break
		}
		sessions := a.sessions
		if a.sendOn(c) {
			return
		}
		if a.sessions > sessions || !a.mayTry() {
			break
		}
	}
	a.d.setUnreachable(a.ctx, a.errs, errors.Join(a.errs...))
}

// await waits for a session with tg's address. It returns nil when a new one
// may be opened.
func (a *attempt) await(tg *target, atMost time.Duration) (*Client, error) {
	t, k := a.t, a.t.sessionKey(a.dst, tg)
	w, crowded := t.conns.wait(k)
	if c := t.takeFrom(&k); c != nil { // it was put back meanwhile
		if given, ok := t.conns.leave(tg.addr, w); ok && given != nil {
			t.put(a.dst, given)
		} else if ok {
			t.conns.failed(tg.addr, false, time.Now())
		}
		return c, nil
	}
	if crowded {
		if c := t.pool.evict(tg.addr); c != nil {
			c.leave() // end an idle session that is for other mail
		}
	}
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case c := <-w.ch:
		return c, nil
	case <-timer.C:
	case <-a.ctx.Done():
	}
	c, ok := t.conns.leave(tg.addr, w)
	switch {
	case ok:
		return c, nil
	case a.ctx.Err() != nil:
		return nil, &hostError{host: tg.host.Name, addr: tg.addr, err: a.ctx.Err()}
	}
	return nil, &hostError{host: tg.host.Name, addr: tg.addr, err: errFull}
}
