package smtpclient

import (
	"bytes"
	"fmt"
	"time"

	"github.com/emersion/go-smtp"
)

// heed reads the reply to a step and acts on it.
func (t *transaction) heed(step int) error {
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
	c.heard = true
	switch {
	case step == stepReset:
		if !r.ok() && !r.transient() && !r.permanent() {
			return unexpected("RSET", r)
		}
		if !r.ok() {
			t.mail = r.smtpError()
			t.onceMore(r)
			return nil
		}
		c.needReset = false
	case step == stepMail:
		if !r.ok() {
			return t.refuseMail(r)
		}
		c.mails++
		c.needReset = true // until the end of data was replied to
	case step < stepRcpt+len(t.rcpts):
		return t.heedRcpt(t.rcpts[step-stepRcpt], r)
	default:
		return t.heedData(r)
	}
	return nil
}

// phase is the command that a step's reply answers, and how long to wait.
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
		// Authentication or STARTTLS is asked for (RFC 4954, 6; RFC 3207, 4):
		// that is about us, not about the message.
		return &refusedError{t.mail}
	}
	if t.c.mails > 0 && aboutSession(r) {
		t.onceMore(r)
		return nil
	}
	for _, i := range t.rcpts {
		t.d.refuse(t.c, i, t.mail)
	}
	return nil
}

// aboutSession says whether a refusal of MAIL after an earlier MAIL may be about
// the session: the host may take only so many messages in one. It is not where
// the enhanced code (RFC 3463) names an address, a mailbox, the message's size
// or its content.
func aboutSession(r reply) bool {
	e, _, ok := enhancedCode(r.code, r.text)
	return !ok || r.transient() || !(e[1] == 1 || e[1] == 2 || e[1] == 6 || e[1] == 3 && e[2] == 4)
}

// onceMore has the recipients tried once more on a new session with this host.
// Until then, a refusal is not a verdict on the message.
func (t *transaction) onceMore(r reply) {
	t.c.renew = true
	e := r.smtpError()
	if r.permanent() {
		e = ownReply(451, 4, 5, 0, fmt.Sprintf("%s refused this session: %d %s", t.c.name(), r.code, e.Message))
	}
	for _, i := range t.d.todo {
		if f := t.d.fates[i]; f == open || f == accepted {
			t.d.settleOne(t.c, i, renewed, Deferred, e, nil)
			if r.permanent() {
				t.d.results[i].Host = "" // these are not its words
			}
		}
	}
}

func (t *transaction) heedRcpt(i int, r reply) error {
	switch {
	case t.mail != nil:
		return nil // 503, or whatever: MAIL said it all
	case r.ok():
		t.accepted++
		t.d.fates[i] = accepted
	case t.accepted > 0 && tooMany(r):
		t.later = append(t.later, i)
		t.c.rcptLimit = t.accepted // the host's limit is lower than ours: keep to it from now on
	case r.code == 503 && t.deferred != nil:
		// The host ended the transaction with a 4xx, so this is not about the
		// recipient.
		t.d.refuse(t.c, i, t.deferred)
	case r.code == 503 && i != t.rcpts[0]:
		t.later = append(t.later, i) // likewise, with whatever it replied before
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

// tooMany recognizes "too many recipients": the enhanced code X.5.3 with any
// 4xx or 5xx, and without an enhanced code 452, or 552 as RFC 821 had it
// (RFC 5321, 4.5.3.1.10), or a text that says so.
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

// heedData reads the reply to DATA. With PIPELINING it may be 354 although no
// recipient was accepted; then a lone dot ends it (RFC 2920, 3.1).
func (t *transaction) heedData(r reply) error {
	switch {
	case r.code == 354:
		t.data = true
	case !r.transient() && !r.permanent():
		return unexpected("DATA", r)
	case t.accepted == 0:
	case r.code == 503 && t.deferred != nil:
		// As with RCPT: the transaction ended with that 4xx.
		for _, i := range t.rcpts {
			if t.d.fates[i] == accepted {
				t.d.refuse(t.c, i, t.deferred)
			}
		}
	case r.code == 503 && t.c.feat.pipelining && !t.d.stepwise:
		// The sequence was right. The host, or a middlebox before it, may not
		// be able to pipeline.
		t.d.stepwise = true
		t.onceMore(r)
	default:
		t.refuseAccepted(r)
	}
	return nil
}

// end gives all accepted recipients the reply to the end of data. That reply
// decides; a 421 is as good as any 4xx.
func (t *transaction) end(r reply) error {
	outcome, err := decide(r)
	if err != nil {
		return err
	}
	e := r.smtpError()
	for _, i := range t.rcpts {
		if t.d.fates[i] == accepted {
			t.finish(i, outcome, e)
		}
	}
	t.c.needReset = t.terms.bdat && outcome != Success // RFC 3030, 2
	if r.code == 421 {
		return &closingError{e}
	}
	return nil
}

// endOne gives the next accepted recipient its reply, and says whether it was
// the last.
func (t *transaction) endOne(r reply) (done bool, err error) {
	outcome, err := decide(r)
	if err != nil {
		return false, err
	}
	e := r.smtpError()
	for _, i := range t.rcpts {
		if t.d.fates[i] == accepted {
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

// finish records what the end of data brought for one recipient.
func (t *transaction) finish(i int, o Outcome, e *smtp.SMTPError) {
	f := settled
	if o == Deferred {
		f = again // the host said that it has not got it
	}
	t.d.settleOne(t.c, i, f, o, e, nil)
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

func unexpected(phase string, r reply) error {
	return &ProtocolError{Phase: phase, Problem: fmt.Sprintf("unexpected reply %d %.80q", r.code, r.text)}
}
