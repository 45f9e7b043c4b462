package smtpclient

import (
	"context"
	"errors"
	"time"
)

// errFull: the host accepts no more connections, and none became free.
var errFull = errors.New("the host accepts no more connections at a time, and none became free")

// isFull says whether a connection was refused because there are others.
func isFull(err error) bool {
	var e *hostError
	return errors.As(err, &e) && e.full
}

// refusedConnection says whether the host, or what is before it, refused the
// connection: before it had answered EHLO.
func refusedConnection(c *Client, err error) bool {
	return err != nil && (c == nil || c.helo == "")
}

// crowded sends d to a host that accepts no more connections: over a session
// that another Send has done with, or over a new one when another has ended.
func (t *Transport) crowded(ctx context.Context, dst *Destination, d *delivery, tg *target, errs []error) {
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
		if !t.over(ctx, c, d) {
			continue // it had died
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
	d.unreached(ctx, errs, errors.Join(errs...))
}

// await returns a session with tg's address, or nil when one may be opened.
func (t *Transport) await(ctx context.Context, dst *Destination, tg *target, atMost time.Duration) (*Client, error) {
	w := t.conns.wait(tg.addr, t.key(dst))
	if c := t.take(dst); c != nil { // it came meanwhile
		if given, ok := t.conns.leave(tg.addr, w); ok && given != nil {
			t.put(dst, given)
		} else if ok {
			t.conns.failed(tg.addr, false, time.Now())
		}
		return c, nil
	}
	if c := t.pool.evict(tg.addr); c != nil {
		c.leave() // an idle session for other mail
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
