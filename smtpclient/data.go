package smtpclient

import (
	"fmt"
	"time"

	"github.com/emersion/go-smtp"
)

// sendData sends the content and the final dot after 354, and handles the reply.
func (t *transaction) sendData() error {
	c := t.c
	c.mon.content(t.accepted)
	if c.buffered() {
		return &ProtocolError{Phase: "DATA", Problem: "unexpected reply before the content was sent"}
	}
	t.resetContent()
	if err := c.content.writeData(t.d.m.Content); err != nil {
		return t.refusalBehind(err)
	}
	t.endSent()
	c.log.content(t.d.m.Content.Size())
	return t.replies()
}

// resetContent prepares the writing of the content.
func (t *transaction) resetContent() {
	c := t.c
	c.content.reset(&c.wire, c.cfg.Timeouts.dataBlock())
	c.content.reply, c.content.mayFinish = t.d.m.ReplyContext, t.d.m.MayFinish
}

// endSent notes that the end of data was sent. From now on the host may have the
// message, so nothing cuts its reply off but DataDone and the context.
func (t *transaction) endSent() {
	t.sent = true
	t.c.mon.contentSent()
	t.c.bounds = bounds{}
}

// sendNothing sends a final dot without content, in answer to a 354 that came
// although no recipient was accepted (RFC 2920, 3.1).
func (t *transaction) sendNothing() error {
	c := t.c
	if c.buffered() {
		return &ProtocolError{Phase: "DATA", Problem: "unexpected reply before the content was sent"}
	}
	if c.cfg.LMTP {
		return &ProtocolError{Phase: "DATA", Problem: "reply 354 without a recipient"} // RFC 2033, 4.2 forbids it
	}
	c.out = append(c.out, ".\r\n"...)
	if err := c.flush(c.cfg.Timeouts.dataBlock()); err != nil {
		return err
	}
	r, err := c.readReply("end of data", c.cfg.Timeouts.dataDone())
	if err != nil {
		return err
	}
	c.log.received(r)
	return nil // no recipient was accepted, so the reply does not matter
}

// replies handles the replies to the end of data: one reply, or with LMTP one
// for each accepted recipient (RFC 2033, 4.2).
func (t *transaction) replies() error {
	c := t.c
	for {
		if !c.hasReply() {
			t.d.progress()
		}
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

// refusalBehind reads a reply after the content could not be written: a host
// may reply with the reason before it closes the connection.
func (t *transaction) refusalBehind(cause error) error {
	c := t.c
	if c.ctx.Err() != nil || c.content.err == nil || isUnfinished(cause) {
		return cause // the failure is on our side
	}
	r, err := c.readReply("data", time.Second)
	if err != nil || !r.transient() && !r.permanent() {
		return cause
	}
	c.log.received(r)
	t.refuseAccepted(r)
	return cause
}

// refuseAccepted gives all accepted recipients the reply, a 4xx or 5xx.
func (t *transaction) refuseAccepted(r reply) {
	e := r.smtpError()
	for _, i := range t.rcpts {
		if t.d.states[i] == accepted {
			t.d.refuse(t.c, i, e)
		}
	}
}

// undecided gives results to the recipients that have none when the session fails
// after the end of data. The host may have accepted the message, so no other
// host is tried (RFC 5321, 4.5.3.2.6 and RFC 1047).
func (t *transaction) undecided(err error) error {
	if err == nil || !t.sent {
		return err
	}
	var e *smtp.SMTPError
	if closing, ok := err.(*closingError); ok {
		e = closing.reply
	} else {
		e = brokenReply(t.c, fmt.Errorf("no valid reply to the end of data, the host may have accepted the message: %w", err))
	}
	for _, i := range t.rcpts {
		if f := t.d.states[i]; f == open || f == accepted {
			t.d.setResult(t.c, i, final, Deferred, e, err)
		}
	}
	return err
}
