package smtpclient

import (
	"context"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

const (
	// maxOutstanding and maxBatch limit the number and the octets of the
	// commands that wait for their replies, so that the two sides cannot wait
	// for each other to read (RFC 2920, 3.1).
	maxOutstanding = 100
	maxBatch       = 8 << 10
)

// Send sends one message and returns one result for each of its recipients, in
// their order. It calls Hello first if that was not done. It sends with the TLS
// and the authentication that the Client has; no TLS policy applies.
func (c *Client) Send(ctx context.Context, m *Message) []Result {
	if m == nil {
		return nil // it has no recipients
	}
	d := newDelivery(m)
	if len(d.todo) == 0 {
		return d.results
	}
	if !c.greeted {
		if err := c.Hello(ctx); err != nil {
			err = &hostError{host: c.name(), addr: c.addr, err: err}
			d.setUnreachable(ctx, []error{err}, err)
			return d.results
		}
	}
	if err := c.do(ctx, func() error { return c.deliver(d) }); err != nil {
		d.fail(c, err)
	}
	return d.results
}

// deliver sends d to its todo list, in as many transactions as that needs. An
// error means that the session has ended. The message was not sent to
// recipients that are then open or accepted.
func (c *Client) deliver(d *delivery) error {
	c.replied, c.renew = false, false
	t, refusal := c.terms(d)
	if refusal != nil {
		f := final
		if d.m.Options.RequireTLS {
			f = retryOther // another host may have REQUIRETLS (RFC 8689, 4.2.1)
		}
		for _, i := range d.todo {
			d.decline(c, i, f, refusal)
		}
		return nil
	}
	if t.ascii {
		c.refuseUTF8(d)
	}
	d.merge(c, t)
	defer d.answer()
	limit := len(d.todo)
	for len(d.todo) > 0 {
		d.progress()
		n := min(len(d.todo), c.maxRecipients(), limit)
		c.bounds = d.bounds // the end of the last transaction has removed them
		tx := &c.tx
		*tx = transaction{c: c, d: d, terms: t, rcpts: d.todo[:n], later: tx.later[:0]}
		if err := tx.run(); err != nil {
			return err
		}
		rest := d.todo[n:]
		if len(tx.later) > 0 {
			limit = n - len(tx.later) // so that no recipient is sent more than a few times
			rest = append(append([]int(nil), tx.later...), rest...)
		}
		if c.renew || c.unusable {
			break
		}
		d.todo = rest
	}
	return nil
}

// refuseUTF8 fails the recipients whose local part needs SMTPUTF8, if the host
// does not support it.
func (c *Client) refuseUTF8(d *delivery) {
	todo := d.todo[:0]
	for _, i := range d.todo {
		if _, ok := addr.ToASCII(d.m.Recipients[i].Addr); ok {
			todo = append(todo, i)
			continue
		}
		d.decline(c, i, final, ownReply(553, 5, 6, 7, "address needs SMTPUTF8, which "+c.name()+" does not support"))
	}
	d.todo = todo
}

// transaction is one transaction: MAIL to the end of data.
type transaction struct {
	c     *Client
	d     *delivery
	terms terms
	rcpts []int // recipients, as indices

	mail     *smtp.SMTPError // MAIL was refused
	deferred *smtp.SMTPError // the last 4xx to RCPT
	accepted int             // recipients that were answered 2xx
	ignored  int             // recipients that were answered 2xx although RSET or MAIL was refused
	later    []int           // recipients for another transaction
	data     bool            // the host asked for the content (354)
	sent     bool            // the end of data was sent
	counted  bool            // in Counters.Messages
}

// The steps of a transaction. RCPT number i is step stepRcpt+i, and DATA
// follows the last.
const (
	stepReset = iota
	stepMail
	stepRcpt
)

// run executes the transaction.
//
// It sends the content only if the host has accepted a recipient, and has either
// replied 354 or accepted a chunk in this session. A host that refuses the
// command before the content may read the content as commands.
func (t *transaction) run() error {
	c := t.c
	if c.buffered() {
		// If it were read as the reply to MAIL, each later reply would count for
		// the wrong command, and a reply to RCPT for the content.
		return &ProtocolError{Phase: "MAIL", Problem: "unexpected reply before the command was sent"}
	}
	if c.mon.isEnded() {
		return errEnded
	}
	c.mon.message(t.d.m)
	if begin := t.d.m.Begin; begin != nil {
		begin(t.rcpts, c.cfg.Host, c.addr, c.tlsText)
	}
	if err := t.envelope(); err != nil {
		return err
	}
	defer c.mon.settle()
	var err error
	switch {
	case t.data && t.ignored > 0:
		// A final dot would send an empty message to these recipients.
		err = &ProtocolError{Phase: "DATA", Problem: "reply 354 after a refusal of RSET or MAIL"}
	case t.data && t.accepted == 0:
		err = t.sendNothing()
	case t.data:
		err = t.sendData()
	case t.terms.bdat && t.accepted > 0:
		err = t.sendBDAT()
	default:
		// The host accepted no recipient. RSET clears the transaction before
		// the next MAIL.
		c.needReset = t.mail == nil
	}
	return t.undecided(err)
}

// last returns the last step of the envelope: DATA. With BDAT it is the last
// RCPT, because BDAT is sent only after the replies to RCPT.
func (t *transaction) last() int {
	last := stepRcpt + len(t.rcpts)
	if t.terms.bdat {
		last--
	}
	return last
}

// envelope sends MAIL, RCPT and DATA, and handles the replies. It sends many
// commands at a time if the host has PIPELINING.
func (t *transaction) envelope() error {
	c := t.c
	next, last := stepMail, t.last()
	if c.needReset {
		next = stepReset
	}
	for next <= last {
		first := next
		for next <= last && (next == first || c.feat.pipelining && !t.d.stepwise && next-first < maxOutstanding && len(c.out) < maxBatch) {
			if err := t.append(next); err != nil {
				return err
			}
			next++
		}
		if err := c.flush(c.cfg.Timeouts.mail()); err != nil {
			return err
		}
		for ; first < next; first++ {
			if err := t.handleReply(first); err != nil {
				return err
			}
		}
		if t.mail != nil || next == stepRcpt+len(t.rcpts) && t.accepted == 0 {
			break // MAIL or all recipients were refused
		}
	}
	return nil
}

// append appends the command of a step to the buffer and checks its bytes.
func (t *transaction) append(step int) error {
	c := t.c
	start := len(c.out)
	var err error
	switch {
	case step == stepReset:
		c.out = append(c.out, "RSET\r\n"...)
	case step == stepMail:
		c.out = c.appendMail(c.out, t.d.m, t.terms)
		err = checkPath(c.out[start:], t.d.m.From, t.terms.utf8)
	case step < stepRcpt+len(t.rcpts):
		r := &t.d.m.Recipients[t.rcpts[step-stepRcpt]]
		c.out = c.appendRcpt(c.out, r, t.terms)
		err = checkPath(c.out[start:], r.Addr, t.terms.utf8)
	default:
		c.out = append(c.out, "DATA\r\n"...)
	}
	if err == nil {
		c.log.sent(c.out[start:])
	}
	return err
}
