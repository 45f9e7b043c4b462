package queue

import "context"

// Transfer says that a Deliver call begins to send the message to a host. The
// subscriptions get an EventTransfer. If the process dies before the result is
// recorded, the tracking log shows that the host may have the message.
//
// ctx is the context of the Deliver call or derived from it. rcpts are recipients of
// the call. A Deliverer that never calls Transfer works. Transfer does not wait.
func Transfer(ctx context.Context, rcpts []*Recipient, host, addr, tls string) {
	if c, ok := ctx.Value(transferKey{}).(*deliverContext); ok {
		c.transfer(rcpts, host, addr, tls)
	}
}

type transferKey struct{}

// transfer sends the event.
func (c *deliverContext) transfer(rcpts []*Recipient, host, addr, tls string) {
	q := c.queue
	if !q.events.watched() && !q.logged(EventTransfer.level()) {
		return
	}
	begun := make([]*Recipient, len(rcpts)) // without the results of earlier attempts
	for i, r := range rcpts {
		begun[i] = &Recipient{Addr: r.Addr}
	}
	q.emit(EventTransfer, c.part.message().m, begun, func(e *Event) {
		e.Hop, e.Host, e.Addr, e.TLS = NextHop(c.part.Hop.Key), host, addr, tls
	})
}
