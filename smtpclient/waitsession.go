package smtpclient

import (
	"context"
	"errors"
	"time"
)

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

// sendWaiting sends d to a host that accepts no more connections. It waits for a
// session that another Send has finished with, or opens a new one when another
// session has ended.
func (t *Transport) sendWaiting(ctx context.Context, dst *Destination, d *delivery, tg *target, errs []error) {
	wait := or(t.MaxWait, time.Minute)
	for end := time.Now().Add(wait); ; {
		c, err := t.await(ctx, dst, tg, time.Until(end))
		if err == nil && c == nil {
			c, err = t.open(ctx, dst, tg)
		}
		if err != nil {
			errs = append(errs, err)
			if isFull(err) && time.Now().Before(end) {
				continue
			}
			break
		}
		if !t.sendOn(ctx, c, d) {
			continue // the host had closed the session
		}
		renew := c.renew
		t.put(dst, c)
		if !d.retry(renew) {
			return
		}
		if !renew {
			break
		}
	}
	d.setUnreachable(ctx, errs, errors.Join(errs...))
}

// await waits for a session with tg's address. It returns nil when a new one
// may be opened.
func (t *Transport) await(ctx context.Context, dst *Destination, tg *target, atMost time.Duration) (*Client, error) {
	w := t.conns.wait(tg.addr, t.key(dst))
	if c := t.take(dst); c != nil { // it was put back meanwhile
		if given, ok := t.conns.leave(tg.addr, w); ok && given != nil {
			t.put(dst, given)
		} else if ok {
			t.conns.failed(tg.addr, false, time.Now())
		}
		return c, nil
	}
	if c := t.pool.evict(tg.addr); c != nil {
		c.leave() // end an idle session that is for other mail
	}
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case c := <-w.ch:
		return c, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	c, ok := t.conns.leave(tg.addr, w)
	switch {
	case ok:
		return c, nil
	case ctx.Err() != nil:
		return nil, &hostError{host: tg.host.Name, addr: tg.addr, err: ctx.Err()}
	}
	return nil, &hostError{host: tg.host.Name, addr: tg.addr, err: errFull}
}
