package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// fate is how far a recipient has come within one Send.
type fate uint8

const (
	open     fate = iota // nothing was heard about it
	accepted             // RCPT was answered 2xx, the message is not through yet
	again                // it has a result, but another host may do better now
	renewed              // likewise, and so may this host on a new session
	settled              // its result stands
)

// delivery is one message on its way: a result and a fate for each recipient.
type delivery struct {
	m       *Message
	results []Result
	fates   []fate
	todo    []int // recipients for the transactions of this session, in order

	noBDAT   bool // the host refused BDAT: DATA, if the content allows it
	stepwise bool // the host refused what was pipelined: one command at a time
}

// newDelivery begins a delivery. Addresses that must not be written on a
// command line fail here and now.
func newDelivery(m *Message) *delivery {
	n := len(m.Recipients)
	d := &delivery{m: m, results: make([]Result, n), fates: make([]fate, n), todo: make([]int, 0, n)}
	var refusal *smtp.SMTPError
	if problem := addr.NotOnWire(m.From); problem != "" {
		refusal = ownReply(553, 5, 1, 7, "reverse-path "+problem)
	} else if m.Content == nil {
		refusal = ownReply(554, 5, 6, 0, "message has no content")
	} else if name := badOption(m); name != "" {
		refusal = ownReply(554, 5, 5, 4, name+" of the message is not one")
	}
	if refusal != nil {
		for i := range m.Recipients {
			d.settleOne(nil, i, settled, Failure, refusal, nil)
		}
		return d
	}
	for i := range m.Recipients {
		to := m.Recipients[i].Addr
		if problem := addr.NotOnWire(to); problem != "" || to == "" {
			if to == "" {
				problem = "is empty"
			}
			d.settleOne(nil, i, settled, Failure, ownReply(553, 5, 1, 3, "forward-path "+problem), nil)
			continue
		}
		d.todo = append(d.todo, i)
	}
	return d
}

// settleOne records a result for one recipient. c is the conversation that it
// comes from; nil when there was none. err is set when that one broke.
func (d *delivery) settleOne(c *Client, i int, f fate, o Outcome, reply *smtp.SMTPError, err error) {
	r := &d.results[i]
	*r = Result{Outcome: o, Reply: *reply, Err: err}
	if c != nil {
		r.Addr, r.TLS, r.DSN = c.addr, c.tlsText, c.feat.dsn
		if err == nil || isReply(err) {
			r.Host = c.cfg.Host
		}
	}
	d.fates[i] = f
}

// decline records that a recipient fails because of what the host does not
// offer. It has not replied, so the result names no host.
func (d *delivery) decline(c *Client, i int, f fate, reply *smtp.SMTPError) {
	d.settleOne(c, i, f, Failure, reply, nil)
	d.results[i].Host = ""
}

// refuse records a host's 4xx or 5xx for one recipient. After a 4xx another
// host may be asked.
func (d *delivery) refuse(c *Client, i int, reply *smtp.SMTPError) {
	if reply.Code/100 == 5 {
		d.settleOne(c, i, settled, Failure, reply, nil)
	} else {
		d.settleOne(c, i, again, Deferred, reply, nil)
	}
}

// lose records that the conversation broke off before the end of data: what
// is open may be tried with another host.
func (d *delivery) lose(c *Client, err error) {
	reply, f := brokenReply(c, err), again
	outcome := Deferred
	var unsafe *commandError
	switch {
	case errors.As(err, &unsafe):
		f, outcome = settled, Failure
	case errors.Is(err, errContent) || contextual(err):
		f = settled // another host would not help
	}
	if _, ok := err.(*refusedError); ok {
		outcome = Unreachable
	}
	for i, was := range d.fates {
		if was == open || was == accepted {
			d.settleOne(c, i, f, outcome, reply, err)
		}
	}
}

// retry makes the recipients that another host, or with sameHost this one on a
// new session, may take the next ones to do, and says whether there are any.
func (d *delivery) retry(sameHost bool) bool {
	d.todo = d.todo[:0]
	for i, f := range d.fates {
		if f == open || f == renewed || f == again && !sameHost {
			d.fates[i] = open
			d.todo = append(d.todo, i)
		}
	}
	return len(d.todo) > 0
}

// unreached gives the recipients that no host spoke about what kept us from
// the hosts: errs, one for each address, joined in err.
func (d *delivery) unreached(ctx context.Context, errs []error, err error) {
	for _, i := range d.todo {
		if d.fates[i] != open || d.results[i].Reply.Code != 0 {
			continue // a host that was asked first has spoken
		}
		d.results[i] = unreachable(ctx, errs, err)
		d.fates[i] = settled
	}
}

// closingError is a 421: the host ends the conversation with it.
type closingError struct{ reply *smtp.SMTPError }

func (e *closingError) Error() string { return "the host closes the connection: " + e.reply.Error() }
func (e *closingError) Unwrap() error { return e.reply }

// refusedError is a refusal to speak with us, whatever the message.
type refusedError struct{ reply *smtp.SMTPError }

func (e *refusedError) Error() string { return "the host does not serve us: " + e.reply.Error() }
func (e *refusedError) Unwrap() error { return e.reply }

// errContent marks a failure to read the message's own content.
var errContent = errors.New("content cannot be read")

func contextual(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded)
}

// isReply says whether it was the host that said why.
func isReply(err error) bool {
	var reply *smtp.SMTPError
	return errors.As(err, &reply)
}

// brokenReply puts a broken conversation into a reply: the host's own, where
// it gave one.
func brokenReply(c *Client, err error) *smtp.SMTPError {
	var reply *smtp.SMTPError
	var proto *ProtocolError
	var unsafe *commandError
	var timeout net.Error
	at := "conversation with " + c.name()
	switch {
	case errors.As(err, &reply):
		return reply
	case errors.As(err, &unsafe):
		return ownReply(554, 5, 5, 4, unsafe.Error())
	case errors.Is(err, errContent):
		return ownReply(451, 4, 3, 0, "message content cannot be read")
	case contextual(err):
		return ownReply(451, 4, 3, 2, "delivery was broken off")
	case errors.As(err, &proto):
		return ownReply(451, 4, 5, 0, fmt.Sprintf("%s: %v", at, err))
	case errors.As(err, &timeout) && timeout.Timeout():
		return ownReply(451, 4, 4, 2, fmt.Sprintf("%s timed out: %v", at, err))
	}
	return ownReply(451, 4, 4, 2, fmt.Sprintf("%s was lost: %v", at, err))
}

// ownReply is a reply of our own making.
func ownReply(code, a, b, c int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{a, b, c}, Message: text}
}
