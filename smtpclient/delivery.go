package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// rcptState is the state of a recipient during one Send.
type rcptState uint8

const (
	open       rcptState = iota // no host has replied about it
	accepted                    // RCPT was answered 2xx, the end of data is not answered yet
	retryOther                  // it has a result, but another host may be tried now
	retrySame                   // as retryOther, and this host may be tried on a new session
	final                       // its result is final
)

// delivery is one message during Send: a result and a state for each recipient.
type delivery struct {
	m       *Message
	results []Result
	states  []rcptState
	todo    []int // recipients for the transactions of this session, in order

	same      map[int][]int // duplicates of the recipients of this session: see merge
	delivered []int         // recipients that m.Progress does not know of yet

	bounds   bounds
	noBDAT   bool // the host refused BDAT: use DATA if the content allows it
	stepwise bool // the host refused pipelined commands: send one at a time
}

// newDelivery returns a delivery of m. Recipients whose address cannot be
// written in a command fail immediately.
func newDelivery(m *Message) *delivery {
	n := len(m.Recipients)
	d := &delivery{m: m, results: make([]Result, n), states: make([]rcptState, n), todo: make([]int, 0, n)}
	var refusal *smtp.SMTPError
	if problem := addr.NotOnWire(m.From); problem != "" {
		refusal = ownReply(553, 5, 1, 7, "reverse-path "+problem)
	} else if settings.IsNil(m.Content) {
		refusal = ownReply(554, 5, 6, 0, "message has no content")
	} else if name := badOption(m); name != "" {
		refusal = ownReply(554, 5, 5, 4, "message has an invalid "+name+" parameter")
	}
	if refusal != nil {
		for i := range m.Recipients {
			d.setResult(nil, i, final, Failure, refusal, nil)
		}
		return d
	}
	if _, is := m.Content.(io.Reader); is {
		// A strings.Reader or bytes.Reader can be written only once. ReadAt reads
		// it any number of times.
		c := *m
		c.Content = content.Section(m.Content, 0, m.Content.Size())
		d.m = &c
	}
	for i := range m.Recipients {
		to := m.Recipients[i].Addr
		if problem := addr.NotOnWire(to); problem != "" || to == "" {
			if to == "" {
				problem = "is empty"
			}
			d.setResult(nil, i, final, Failure, ownReply(553, 5, 1, 3, "forward-path "+problem), nil)
			continue
		}
		d.todo = append(d.todo, i)
	}
	return d
}

// setResult records a result for one recipient. c is the session that it comes
// from, nil if there was none. err is set if the session failed.
func (d *delivery) setResult(c *Client, i int, f rcptState, o Outcome, reply *smtp.SMTPError, err error) {
	r := &d.results[i]
	*r = Result{Outcome: o, Reply: *reply, Err: err}
	if c != nil {
		r.Addr, r.TLS, r.DSN = c.addr, c.tlsText, c.feat.dsn
		r.Final = o == Success && c.cfg.LMTP
		if err == nil || isReply(err) {
			r.Host = c.cfg.Host
		}
	}
	d.states[i] = f
}

// decline records that a recipient fails because the host lacks an extension.
// The host has not replied, so the result names no host.
func (d *delivery) decline(c *Client, i int, f rcptState, reply *smtp.SMTPError) {
	d.setResult(c, i, f, Failure, reply, nil)
	d.results[i].Host = ""
}

// refuse records a host's 4xx or 5xx for one recipient. After a 4xx another
// host may be tried.
func (d *delivery) refuse(c *Client, i int, reply *smtp.SMTPError) {
	if reply.Code/100 == 5 {
		d.setResult(c, i, final, Failure, reply, nil)
	} else {
		d.setResult(c, i, retryOther, Deferred, reply, nil)
	}
}

// fail records that the session failed before the end of data. Recipients
// without a result may be tried with another host.
func (d *delivery) fail(c *Client, err error) {
	reply, f := brokenReply(c, err), retryOther
	outcome := Deferred
	var unsafe *commandError
	switch {
	case errors.As(err, &unsafe):
		f, outcome = final, Failure
	case errors.Is(err, errContent) || errors.Is(err, errAttemptTime) || contextual(err) || isUnfinished(err):
		f = final // another host would not help
	}
	if _, ok := err.(*refusedError); ok {
		outcome = Unreachable
	}
	for i, was := range d.states {
		if was == open || was == accepted {
			d.setResult(c, i, f, outcome, reply, err)
		}
	}
}

// setBusy gives the outcome Busy to the recipients that no host has replied
// about.
func (d *delivery) setBusy(tg *target) {
	err := &hostError{host: tg.host.Name, addr: tg.addr, err: errBusy}
	for _, i := range d.todo {
		if d.states[i] != open || d.results[i].Reply.Code != 0 {
			continue // a host that was tried before has replied
		}
		d.results[i] = Result{Outcome: Busy, Addr: tg.addr, Reply: *sessionReply(err), Err: err}
		d.states[i] = final
	}
}

// retry sets d.todo to the recipients to try next: with another host, or if
// sameHost is true with this host on a new session. It reports whether there
// are any.
func (d *delivery) retry(sameHost bool) bool {
	d.todo = d.todo[:0]
	for i, f := range d.states {
		if f == open || f == retrySame || f == retryOther && !sameHost {
			d.states[i] = open
			d.todo = append(d.todo, i)
		}
	}
	return len(d.todo) > 0
}

// setUnreachable gives a result to the recipients that no host has replied about.
// errs are the errors of the addresses that were tried, err is all of them.
func (d *delivery) setUnreachable(ctx context.Context, errs []error, err error) {
	for _, i := range d.todo {
		if d.states[i] != open || d.results[i].Reply.Code != 0 {
			continue // a host that was tried before has replied
		}
		d.results[i] = unreachable(ctx, errs, err)
		d.states[i] = final
	}
}

// closingError is a reply 421, with which the host ends the session.
type closingError struct{ reply *smtp.SMTPError }

func (e *closingError) Error() string { return "the host closes the connection: " + e.reply.Error() }
func (e *closingError) Unwrap() error { return e.reply }

// refusedError is a refusal that concerns the client and not the message.
type refusedError struct{ reply *smtp.SMTPError }

func (e *refusedError) Error() string { return "the host refuses this client: " + e.reply.Error() }
func (e *refusedError) Unwrap() error { return e.reply }

// errContent means that the content of the message cannot be read.
var errContent = errors.New("content cannot be read")

// unfinishedError means that Message.MayFinish did not permit the end of data.
type unfinishedError struct{ err error }

func (e *unfinishedError) Error() string { return "the end of data was not sent: " + e.err.Error() }
func (e *unfinishedError) Unwrap() error { return e.err }

func isUnfinished(err error) bool {
	var e *unfinishedError
	return errors.As(err, &e)
}

// contextual reports whether err comes from the end of a context.
func contextual(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded)
}

// isReply reports whether err is a reply of the host.
func isReply(err error) bool {
	var reply *smtp.SMTPError
	return errors.As(err, &reply)
}

// brokenReply returns a reply for the error that ended a session: the host's
// reply if it sent one, otherwise a reply of our own.
func brokenReply(c *Client, err error) *smtp.SMTPError {
	var reply *smtp.SMTPError
	var proto *ProtocolError
	var unsafe *commandError
	var timeout net.Error
	at := "session with " + c.name()
	switch {
	case errors.As(err, &reply):
		return reply
	case errors.As(err, &unsafe):
		return ownReply(554, 5, 5, 4, unsafe.Error())
	case errors.Is(err, errContent):
		return ownReply(451, 4, 3, 0, "message content cannot be read")
	case contextual(err), isUnfinished(err):
		return ownReply(451, 4, 3, 2, "delivery was interrupted")
	case errors.As(err, &proto):
		return ownReply(451, 4, 5, 0, fmt.Sprintf("%s: %v", at, err))
	case errors.As(err, &timeout) && timeout.Timeout():
		return ownReply(451, 4, 4, 2, fmt.Sprintf("%s timed out: %v", at, err))
	}
	return ownReply(451, 4, 4, 2, fmt.Sprintf("%s failed: %v", at, err))
}

// ownReply returns a reply that this package makes, not the host.
func ownReply(code, a, b, c int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{a, b, c}, Message: text}
}
