package smtpclient

import (
	"bytes"
	"fmt"
	"time"

	"github.com/emersion/go-smtp"
)

// handleReply reads the reply to a step and handles it.
func (t *transaction) handleReply(step int) error {
	c := t.c
	name, timeout := t.phase(step)
	r, err := c.readReply(name, timeout)
	if err != nil {
		return err
	}
	c.log.received(r)
	if r.code == 421 {
		return &closingError{r.smtpError()}
	}
	c.replied = true
	switch {
	case step == stepReset:
		if !r.ok() && !r.transient() && !r.permanent() {
			return unexpected("RSET", r)
		}
		if !r.ok() {
			t.mail = r.smtpError()
			t.tryOnNewSession(r)
			return nil
		}
		c.needReset = false
	case step == stepMail:
		if !r.ok() {
			return t.refuseMail(r)
		}
		c.mails++
		c.needReset = true // until the end of data is answered
	case step < stepRcpt+len(t.rcpts):
		return t.handleRcpt(t.rcpts[step-stepRcpt], r)
	default:
		return t.handleData(r)
	}
	return nil
}

// phase returns the command of a step, and how long to wait for the reply.
func (t *transaction) phase(step int) (string, time.Duration) {
	to := &t.c.cfg.Timeouts
	switch {
	case step == stepReset:
		return "RSET", to.mail()
	case step == stepMail:
		return "MAIL", to.mail()
	case step < stepRcpt+len(t.rcpts):
		return "RCPT", to.rcpt()
	}
	return "DATA", to.dataInit()
}

// refuseMail gives all recipients the reply that MAIL got.
func (t *transaction) refuseMail(r reply) error {
	if !r.transient() && !r.permanent() {
		return unexpected("MAIL", r)
	}
	if t.mail != nil {
		return nil // RSET was refused
	}
	t.mail = r.smtpError()
	if r.code == 530 {
		// The host requires authentication or STARTTLS (RFC 4954, 6; RFC 3207,
		// 4). That concerns the client and not the message.
		return &refusedError{t.mail}
	}
	if t.c.mails > 0 && aboutSession(r) {
		t.tryOnNewSession(r)
		return nil
	}
	for _, i := range t.rcpts {
		t.d.refuse(t.c, i, t.mail)
	}
	return nil
}

// aboutSession reports whether a refusal of a second or later MAIL may concern
// the session: the host may limit the messages in a session. It returns false
// for a 5xx whose enhanced code (RFC 3463) is about an address, a mailbox, or
// the size or content of the message.
func aboutSession(r reply) bool {
	e, _, ok := enhancedCode(r.code, r.text)
	return !ok || r.transient() || !(e[1] == 1 || e[1] == 2 || e[1] == 6 || e[1] == 3 && e[2] == 4)
}

// tryOnNewSession marks the recipients for one more try on a new session with this
// host. Until then, a 5xx is recorded as a temporary failure.
func (t *transaction) tryOnNewSession(r reply) {
	t.c.renew = true
	e := r.smtpError()
	if r.permanent() {
		e = ownReply(451, 4, 5, 0, fmt.Sprintf("%s refused this session: %d %s", t.c.name(), r.code, e.Message))
	}
	for _, i := range t.d.todo {
		if f := t.d.states[i]; f == open || f == accepted {
			t.d.setResult(t.c, i, retrySame, Deferred, e, nil)
			if r.permanent() {
				t.d.results[i].Host = "" // this is not the host's reply
			}
		}
	}
}

// handleRcpt handles the reply to RCPT of recipient i.
func (t *transaction) handleRcpt(i int, r reply) error {
	switch {
	case t.mail != nil: // RSET or MAIL was refused
		if r.ok() {
			t.ignored++
		}
	case r.ok():
		t.accepted++
		t.d.states[i] = accepted
	case t.accepted > 0 && tooMany(r):
		t.later = append(t.later, i)
		t.c.rcptLimit = t.accepted // the host's limit is lower than ours; use it from now on
	case r.code == 503 && t.deferred != nil:
		// The host ended the transaction with a 4xx, so the 503 does not concern
		// the recipient.
		t.d.refuse(t.c, i, t.deferred)
	case r.code == 503 && i != t.rcpts[0]:
		t.later = append(t.later, i) // the host ended the transaction with another reply
	case r.transient():
		t.deferred = r.smtpError()
		t.d.refuse(t.c, i, t.deferred)
	case r.permanent():
		t.d.refuse(t.c, i, r.smtpError())
	default:
		return unexpected("RCPT", r)
	}
	return nil
}

// tooMany reports whether a reply means "too many recipients": a 4xx or 5xx with
// the enhanced code X.5.3, or without an enhanced code a 452, a 552 as in
// RFC 821 (RFC 5321, 4.5.3.1.10), or the text "too many recipients".
func tooMany(r reply) bool {
	if !r.transient() && !r.permanent() {
		return false
	}
	e, text, ok := enhancedCode(r.code, r.text)
	if ok {
		return e[1] == 5 && e[2] == 3
	}
	return r.code == 452 || r.code == 552 || bytes.Contains(bytes.ToLower(text), []byte("too many recipients"))
}

// handleData handles the reply to DATA. With PIPELINING it may be 354 although no
// recipient was accepted; see sendNothing.
func (t *transaction) handleData(r reply) error {
	switch {
	case r.code == 354:
		t.data = true
	case !r.transient() && !r.permanent():
		return unexpected("DATA", r)
	case t.accepted == 0:
	case r.code == 503 && t.deferred != nil:
		// As with RCPT: the transaction ended with that 4xx.
		for _, i := range t.rcpts {
			if t.d.states[i] == accepted {
				t.d.refuse(t.c, i, t.deferred)
			}
		}
	case r.code == 503 && t.c.feat.pipelining && !t.d.stepwise:
		// The sequence was correct. The host, or a middlebox before it, may not
		// support pipelining.
		t.d.stepwise = true
		t.tryOnNewSession(r)
	default:
		t.refuseAccepted(r)
	}
	return nil
}

// end gives all accepted recipients the reply to the end of data. A 421 counts
// as any other 4xx.
func (t *transaction) end(r reply) error {
	outcome, err := decide(r)
	if err != nil {
		return err
	}
	e := r.smtpError()
	for _, i := range t.rcpts {
		if t.d.states[i] == accepted {
			t.finish(i, outcome, e)
		}
	}
	t.c.needReset = t.terms.bdat && outcome != Success // RFC 3030, 2
	if r.code == 421 {
		return &closingError{e}
	}
	return nil
}

// endOne gives the next accepted recipient its reply, and reports whether it was
// the last.
func (t *transaction) endOne(r reply) (done bool, err error) {
	outcome, err := decide(r)
	if err != nil {
		return false, err
	}
	e := r.smtpError()
	for _, i := range t.rcpts {
		if t.d.states[i] == accepted {
			t.finish(i, outcome, e)
			t.accepted--
			break
		}
	}
	if t.accepted == 0 {
		t.c.needReset = false
	}
	return t.accepted == 0, nil
}

// finish records the result of the end of data for one recipient.
func (t *transaction) finish(i int, o Outcome, e *smtp.SMTPError) {
	f := final
	if o == Deferred {
		f = retryOther // the host has not accepted the message
	}
	t.d.setResult(t.c, i, f, o, e, nil)
	if m := t.c.mon; m != nil && o == Success && !t.counted {
		t.counted = true
		m.t.counters.messages.Add(1)
		m.t.counters.size.Add(t.d.m.Content.Size())
	}
	if o == Success && t.d.m.Progress != nil {
		t.d.delivered = append(t.d.delivered, i)
	}
}

// decide turns the reply to the end of data into an outcome.
func decide(r reply) (Outcome, error) {
	switch {
	case r.ok():
		return Success, nil
	case r.transient():
		return Deferred, nil
	case r.permanent():
		return Failure, nil
	}
	return Deferred, unexpected("end of data", r)
}

// unexpected returns the error for a reply with a code that phase cannot have.
func unexpected(phase string, r reply) error {
	return &ProtocolError{Phase: phase, Problem: fmt.Sprintf("unexpected reply %d %.80q", r.code, r.text)}
}
