package routing

import (
	"context"
	"errors"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A Transport carries mail the last step. SMTP is only the first of them: see
// Pipe, DropDir, HTTPPost and TransportFunc. It must be safe for concurrent
// use. One that is an io.Closer too is closed by Router.Close.
type Transport interface {
	// Deliver makes one attempt and returns one result for each of
	// j.Recipients, in their order. It ends when ctx does.
	Deliver(ctx context.Context, j *Job) []queue.Result
}

// A Job is what a Transport has to do.
type Job struct {
	Hop        queue.NextHop
	Message    *queue.Message
	Recipients []*queue.Recipient // those of the message's that go this way
	// Destination has the hosts, for transports that speak to hosts.
	Destination *smtpclient.Destination
}

// SMTP makes an smtpclient.Transport (SMTP or LMTP) the Transport of a
// connector, or of several, which then share its sessions.
func SMTP(t *smtpclient.Transport) Transport { return smtpTransport{t} }

type smtpTransport struct{ *smtpclient.Transport }

func isSMTP(t Transport) bool {
	_, is := t.(smtpTransport)
	return is
}

func (t smtpTransport) Deliver(ctx context.Context, j *Job) []queue.Result {
	sent := t.Send(ctx, j.Destination, clientMessage(j))
	results := make([]queue.Result, len(sent))
	for i := range sent {
		results[i] = result(&sent[i], t.LMTP)
	}
	return results
}

// clientMessage is a job in the words of smtpclient.
func clientMessage(j *Job) *smtpclient.Message {
	m := &smtpclient.Message{
		ID:         j.Message.ID,
		From:       j.Message.From,
		Options:    j.Message.Options,
		Recipients: make([]smtpclient.Recipient, len(j.Recipients)),
		Content:    j.Message.Content,
		Priority:   j.Message.Priority,
	}
	for i, r := range j.Recipients {
		m.Recipients[i] = smtpclient.Recipient{Addr: r.Addr, Options: r.Options}
		if by := r.Options.DeliverBy; by != nil && m.DeliverBy == nil { // they came with one MAIL
			left := *by
			left.Time -= time.Since(j.Message.Received) // RFC 2852, 4.1.4
			m.DeliverBy = &left
		}
	}
	return m
}

// result is a smtpclient.Result in the words of the queue. final says that a
// host that takes a message has put it into the mailbox.
func result(r *smtpclient.Result, final bool) queue.Result {
	q := queue.Result{
		Outcome: outcome(r.Outcome),
		Reply:   r.Reply,
		Host:    r.Host,
		Addr:    r.Addr,
		TLS:     r.TLS,
		DSN:     r.DSN,
		Final:   final && r.Outcome == smtpclient.Success,
		Err:     r.Err,
	}
	var ours *smtp.SMTPError
	if r.Host == "" && isRouting(r.Err) && errors.As(r.Err, &ours) {
		q.Reply = *ours
	}
	return q
}

// isRouting says whether an error came from finding the hosts.
func isRouting(err error) bool {
	var d *DNSError
	var l *LoopError
	var s *SmartHostError
	return errors.As(err, &s) || errors.As(err, &l) || errors.As(err, &d)
}

func outcome(o smtpclient.Outcome) queue.Outcome {
	switch o {
	case smtpclient.Success:
		return queue.Success
	case smtpclient.Failure:
		return queue.Failure
	case smtpclient.Unreachable:
		return queue.Unreachable
	}
	return queue.Deferred
}

// TransportFunc makes a function a Transport.
type TransportFunc func(ctx context.Context, j *Job) []queue.Result

// Deliver calls f.
func (f TransportFunc) Deliver(ctx context.Context, j *Job) []queue.Result { return f(ctx, j) }

// allAlike is the same result for n recipients.
func allAlike(n int, r queue.Result) []queue.Result {
	results := make([]queue.Result, n)
	for i := range results {
		results[i] = r
	}
	return results
}
