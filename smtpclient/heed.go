package smtpclient

import (
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
		if !r.ok() {
			return &ProtocolError{Phase: "RSET", Problem: fmt.Sprintf("reply %d", r.code)}
		}
		c.needReset = false
	case step == stepMail:
		if !r.ok() {
			return t.refuseMail(r)
		}
		c.needReset = true // until the end of data was replied to
	case step < stepRcpt+len(t.rcpts):
		return t.heedRcpt(t.rcpts[step-stepRcpt], r)
	case t.now:
		return t.end(r)
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
	case t.now:
		return "BDAT", to.dataDone()
	}
	return "DATA", to.dataInit()
}

// refuseMail gives all recipients the reply that MAIL got.
func (t *transaction) refuseMail(r reply) error {
	if !r.transient() && !r.permanent() {
		return unexpected("MAIL", r)
	}
	t.mail = r.smtpError()
	t.c.tired = r.transient()
	if r.code == 530 {
		// Authentication or STARTTLS is asked for (RFC 4954, 6; RFC 3207, 4):
		// that is about us, not about the message.
		return &refusedError{t.mail}
	}
	for _, i := range t.rcpts {
		t.d.refuse(t.c, i, t.mail)
	}
	return nil
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
	case r.transient() || r.permanent():
		t.d.refuse(t.c, i, r.smtpError())
	default:
		return unexpected("RCPT", r)
	}
	return nil
}

// tooMany recognises "too many recipients": 452, and 552 as RFC 821 had it,
// without an enhanced code that says otherwise (RFC 5321, 4.5.3.1.10).
func tooMany(r reply) bool {
	if r.code != 452 && r.code != 552 {
		return false
	}
	e, _, ok := enhancedCode(r.code, r.text)
	return !ok || e[1] == 5 && e[2] == 3
}

// heedData reads the reply to DATA. With PIPELINING it may be 354 although no
// recipient was accepted; then a lone dot ends it (RFC 2920, 3.1).
func (t *transaction) heedData(r reply) error {
	switch {
	case r.code == 354:
		t.data = true
	case !r.transient() && !r.permanent():
		return unexpected("DATA", r)
	case t.accepted > 0:
		e := r.smtpError()
		for _, i := range t.rcpts {
			if t.d.fates[i] == accepted {
				t.d.refuse(t.c, i, e)
			}
		}
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
	if t.accepted == 0 {
		return nil
	}
	e := r.smtpError()
	for _, i := range t.rcpts {
		if t.d.fates[i] == accepted {
			t.finish(i, outcome, e)
		}
	}
	t.c.needReset = t.now && outcome != Success // RFC 3030, 2
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
