package smtpclient

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

const (
	// maxOutstanding and maxBatch bound the commands, in number and octets,
	// that wait for their replies at a time: neither side may come to wait
	// for the other to read (RFC 2920, 3.1).
	maxOutstanding = 100
	maxBatch       = 8 << 10
	// maxBDATNow is how much content goes out together with the envelope,
	// at the risk that the host refuses it all.
	maxBDATNow = 64 << 10
)

// Send sends one message and returns one result for each of its recipients,
// in their order. It says Hello first where that was not done.
func (c *Client) Send(ctx context.Context, m *Message) []Result {
	d := newDelivery(m)
	if len(d.todo) == 0 {
		return d.results
	}
	if !c.greeted {
		if err := c.Hello(ctx); err != nil {
			err = &hostError{c.name(), c.addr, err}
			d.unreached(ctx, []error{err}, err)
			return d.results
		}
	}
	if err := c.do(ctx, func() error { return c.deliver(d) }); err != nil {
		d.lose(c, err)
	}
	return d.results
}

// deliver sends d to its todo list in as many transactions as it takes. An
// error means that the conversation is over; recipients that are then still
// open or accepted have not been sent to.
func (c *Client) deliver(d *delivery) error {
	c.heard, c.tired = false, false
	t, refusal := c.terms(d.m)
	if refusal != nil {
		f := settled
		if d.m.Options.RequireTLS {
			f = again // another host may promise it (RFC 8689, 4.2.1)
		}
		for _, i := range d.todo {
			d.settleOne(c, i, f, Failure, refusal, nil)
		}
		return nil
	}
	if t.ascii {
		c.refuseUTF8(d)
	}
	for len(d.todo) > 0 {
		n := min(len(d.todo), c.maxRecipients())
		tx := &c.tx
		*tx = transaction{c: c, d: d, terms: t, rcpts: d.todo[:n], later: tx.later[:0]}
		if err := tx.run(); err != nil {
			return err
		}
		rest := d.todo[n:]
		if len(tx.later) > 0 {
			// The host's limit is lower than ours: keep to it from now on.
			c.rcptLimit = n - len(tx.later)
			rest = append(append([]int(nil), tx.later...), rest...)
		}
		d.todo = rest
	}
	return nil
}

// refuseUTF8 fails the recipients whose local part needs SMTPUTF8 at a host
// without it.
func (c *Client) refuseUTF8(d *delivery) {
	todo := d.todo[:0]
	for _, i := range d.todo {
		if _, ok := asciiPath(d.m.Recipients[i].Addr); ok {
			todo = append(todo, i)
			continue
		}
		d.settleOne(c, i, settled, Failure, ownReply(553, 5, 6, 7, "address needs SMTPUTF8, which "+c.name()+" does not support"), nil)
	}
	d.todo = todo
}

// transaction is one MAIL … end of data.
type transaction struct {
	c     *Client
	d     *delivery
	terms terms
	rcpts []int // recipients, as indices

	mail     *smtp.SMTPError // MAIL was refused
	accepted int             // recipients that were answered 2xx
	later    []int           // recipients for another transaction: too many for this one
	now      bool            // content goes out with the envelope, by BDAT
	sent     bool            // the end of data may have gone out
	data     bool            // the host waits for the data (354)
}

// The steps of a transaction. RCPT number i is step stepRcpt+i, and DATA
// follows the last.
const (
	stepReset = iota
	stepMail
	stepRcpt
)

// run carries the transaction out.
func (t *transaction) run() error {
	c := t.c
	if c.buffered() {
		// Taken for an answer to MAIL, it would shift all that follow, and in
		// the end that to RCPT would stand for that to the content.
		return &ProtocolError{Phase: "MAIL", Problem: "a reply came before the command"}
	}
	// On a session that is perhaps dead the content waits for the host's first
	// word: if there is none, the message can safely go another way.
	t.now = c.feat.chunking && c.feat.pipelining && !c.doubtful && !c.cfg.LMTP && len(t.rcpts) < maxOutstanding &&
		t.d.m.Content.Size() <= maxBDATNow && (t.terms.bdat || inMemoryCanonical(t.d.m.Content))
	if err := t.envelope(); err != nil {
		return t.broken(err)
	}
	if t.sent {
		return nil // by BDAT, with the envelope
	}
	var err error
	switch {
	case t.data:
		err = t.sendData()
	case t.terms.bdat && t.accepted > 0:
		err = t.sendBDAT()
	default:
		// Refused altogether. What the host thinks of it is cleared before
		// the next MAIL.
		c.needReset = t.mail == nil
		return nil
	}
	if err != nil {
		return t.broken(err)
	}
	return nil
}

// envelope says MAIL, RCPT … and DATA (or BDAT), as many at a time as the
// host's PIPELINING allows, and heeds the replies.
func (t *transaction) envelope() error {
	c := t.c
	next, last := stepMail, stepRcpt+len(t.rcpts)
	if c.needReset {
		next = stepReset
	}
	if t.terms.bdat && !t.now {
		last-- // BDAT comes when the recipients are known
	}
	for next <= last {
		first := next
		for next <= last && (next == first || c.feat.pipelining && next-first < maxOutstanding && len(c.out) < maxBatch) {
			if err := t.append(next); err != nil {
				return err
			}
			next++
		}
		if err := t.flush(next > last); err != nil {
			return err
		}
		for ; first < next; first++ {
			if err := t.heed(first); err != nil {
				return err
			}
		}
		if t.mail != nil || next == last && t.accepted == 0 && last == stepRcpt+len(t.rcpts) {
			break // nothing to come for
		}
	}
	return nil
}

// append writes the command of a step to the buffer, after a check of its bytes.
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
	case t.now:
		c.out = append(c.out, "BDAT "...)
		c.out = strconv.AppendInt(c.out, t.d.m.Content.Size(), 10)
		c.out = append(c.out, " LAST\r\n"...)
	default:
		c.out = append(c.out, "DATA\r\n"...)
	}
	if err == nil {
		c.log.sent(c.out[start:])
	}
	return err
}

// flush writes the buffered commands, and after the last of them the content,
// where that goes out with them.
func (t *transaction) flush(last bool) error {
	c := t.c
	if !last || !t.now {
		return c.flush(c.cfg.Timeouts.mail())
	}
	c.content.reset(&c.wire, c.cfg.Timeouts.dataBlock())
	c.content.emit(c.out)
	t.sent = true
	err := c.content.writeRaw(t.d.m.Content)
	c.out = c.out[:0]
	if err != nil {
		t.sent = false // not all of it went out
		return err
	}
	c.log.content(t.d.m.Content.Size())
	return nil
}

// sendData sends the content and the final dot, and heeds the reply.
func (t *transaction) sendData() error {
	c := t.c
	if c.buffered() {
		return &ProtocolError{Phase: "DATA", Problem: "a reply came before the content"}
	}
	c.content.reset(&c.wire, c.cfg.Timeouts.dataBlock())
	if t.accepted == 0 {
		if c.cfg.LMTP {
			return &ProtocolError{Phase: "DATA", Problem: "reply 354 without a recipient"} // RFC 2033, 4.2 forbids it
		}
		c.out = append(c.out, ".\r\n"...)
		if err := c.flush(c.cfg.Timeouts.dataBlock()); err != nil {
			return err
		}
		_, err := c.readReply("end of data", c.cfg.Timeouts.dataDone())
		return err // whatever it was, nobody got anything
	}
	if err := c.content.writeData(t.d.m.Content); err != nil {
		return t.refusalBehind(err)
	}
	t.sent = true
	c.log.content(t.d.m.Content.Size())
	return t.replies()
}

// sendBDAT sends the content in one chunk, for hosts that refused no more
// than some recipients (RFC 3030, 2).
func (t *transaction) sendBDAT() error {
	t.now = true
	if err := t.append(stepRcpt + len(t.rcpts)); err != nil {
		return err
	}
	if err := t.flush(true); err != nil {
		return err
	}
	return t.replies()
}

// replies reads what the end of data is answered: one reply, or with LMTP one
// for each accepted recipient (RFC 2033, 4.2).
func (t *transaction) replies() error {
	c := t.c
	for {
		r, err := c.readReply("end of data", c.cfg.Timeouts.dataDone())
		if err != nil {
			return err
		}
		c.log.received(r)
		if !c.cfg.LMTP {
			return t.end(r)
		}
		if done, err := t.endOne(r); done || err != nil {
			return err
		}
	}
}

// refusalBehind looks, after content could not be written, for a reply in
// which the host says why, before it closed.
func (t *transaction) refusalBehind(cause error) error {
	c := t.c
	if c.ctx.Err() != nil || c.content.err == nil {
		return cause // broken off by us
	}
	r, err := c.readReply("data", time.Second)
	if err != nil || !r.transient() && !r.permanent() {
		return cause
	}
	c.log.received(r)
	e := r.smtpError()
	for _, i := range t.rcpts {
		if t.d.fates[i] == accepted {
			t.d.refuse(c, i, e)
		}
	}
	return cause
}

// broken settles what a broken conversation leaves undecided: after the end
// of data the host may have taken the message, so nobody else is asked
// (RFC 5321, 4.5.3.2.6 and RFC 1047).
func (t *transaction) broken(err error) error {
	if !t.sent {
		return err
	}
	closing, ok := err.(*closingError)
	if ok && !t.c.heard {
		return err // closed before it looked at the first command
	}
	var e *smtp.SMTPError
	if ok {
		e = closing.reply
	} else {
		e = brokenReply(t.c, fmt.Errorf("after the end of data, the host may have the message: %w", err))
	}
	for _, i := range t.rcpts {
		if f := t.d.fates[i]; f == open || f == accepted {
			t.d.settleOne(t.c, i, settled, Deferred, e, err)
		}
	}
	return err
}

// inMemoryCanonical says whether content may go out as it stands, by BDAT.
func inMemoryCanonical(m Content) bool {
	mem, ok := m.(*content.Content)
	if !ok || !mem.InMemory() {
		return false
	}
	for _, p := range mem.Parts() {
		if !content.Canonical(p.Bytes) {
			return false
		}
	}
	return true
}
