package routing

import (
	"context"
	"errors"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A Transport delivers mail to its destination. SMTP returns the usual one.
// Others are Pipe, DropDir, HTTPPost and TransportFunc. A Transport must be
// safe for concurrent use. Router.Close closes a Transport that is also an
// io.Closer.
type Transport interface {
	// Deliver makes one attempt and returns one result for each of
	// j.Recipients, in the same order. It returns when ctx ends. It calls
	// queue.MayFinish before the delivery becomes final.
	Deliver(ctx context.Context, j *Job) []queue.Result
}

// A Job is one attempt of a Transport.
type Job struct {
	Hop        queue.NextHop
	Message    *queue.Message
	Recipients []*queue.Recipient // the recipients for this attempt
	// Destination contains the hosts, for transports that connect to hosts.
	Destination *smtpclient.Destination
}

// SMTP returns a Transport that uses t (SMTP or LMTP). If several connectors
// use the same t, they share its sessions. NewTable returns an error if t is nil
// or has a setting that can never work (smtpclient.Transport.Validate).
func SMTP(t *smtpclient.Transport) Transport { return smtpTransport{t} }

type smtpTransport struct{ *smtpclient.Transport }

func isSMTP(t Transport) bool {
	_, is := t.(smtpTransport)
	return is
}

var errNilTransport = errors.New("routing: the Transport is nil")

func (t smtpTransport) Deliver(ctx context.Context, j *Job) []queue.Result {
	if t.Transport == nil {
		return sameResults(len(j.Recipients), queue.Defer(errNilTransport))
	}
	m := clientMessage(j)
	m.NoWait = true // the Queue waits: Send would keep a delivery slot
	m.Hurry = queue.Hurry(ctx)
	m.ReplyContext = ctx
	m.MayFinish = queue.MayFinish
	m.Progress = progress(ctx, j)
	m.Begin = func(rcpts []int, host, addr, tls string) {
		queue.Transfer(ctx, originalsOf(ctx, pick(j.Recipients, rcpts)), host, addr, tls)
	}
	early := resolver.WithLogger(queue.Early(ctx), resolver.LoggerOf(ctx))
	results := t.Send(early, j.Destination, m)
	for i := range results {
		results[i] = ownReply(results[i])
	}
	return results
}

// clientMessage converts a job to a message of smtpclient.
func clientMessage(j *Job) *smtpclient.Message {
	m := &smtpclient.Message{
		ID:         j.Message.ID,
		From:       j.Message.From,
		Options:    j.Message.Options,
		Recipients: make([]smtpclient.Recipient, len(j.Recipients)),
		Content:    j.Message.Content,
	}
	for i, r := range j.Recipients {
		m.Recipients[i] = smtpclient.Recipient{Addr: r.Addr, Options: r.Options}
		if by := r.Options.DeliverBy; by != nil && m.DeliverBy == nil { // all have the value of one MAIL command
			left := *by
			left.Time -= time.Since(j.Message.Received) // RFC 2852, 4.1.4
			m.DeliverBy = &left
		}
	}
	return m
}

// progress returns the function that passes results to the queue while a message
// is sent. A message with one recipient needs none.
func progress(ctx context.Context, j *Job) func(rcpts []int, sent []smtpclient.Result) {
	if len(j.Recipients) == 1 {
		return nil
	}
	return func(rcpts []int, sent []smtpclient.Result) {
		results := make([]queue.Result, len(rcpts))
		for k, i := range rcpts {
			results[k] = ownReply(sent[i])
		}
		queue.Progress(ctx, pick(j.Recipients, rcpts), results)
	}
}

// ownReply returns r with the reply of this package if the hosts could not be looked
// up.
func ownReply(r smtpclient.Result) queue.Result {
	var ours *smtp.SMTPError
	if r.Host == "" && isRouting(r.Err) && errors.As(r.Err, &ours) {
		r.Reply = *ours
	}
	return r
}

// isRouting reports whether an error occurred while the hosts were looked up.
func isRouting(err error) bool {
	var d *DNSError
	var l *LoopError
	var s *SmartHostError
	return errors.As(err, &s) || errors.As(err, &l) || errors.As(err, &d)
}

// TransportFunc is a function that implements Transport.
type TransportFunc func(ctx context.Context, j *Job) []queue.Result

// Deliver calls f. If f is nil, the recipients are deferred.
func (f TransportFunc) Deliver(ctx context.Context, j *Job) []queue.Result {
	if f == nil {
		return sameResults(len(j.Recipients), queue.Defer(errNilTransport))
	}
	return f(ctx, j)
}

// sameResults returns the same result for n recipients.
func sameResults(n int, r queue.Result) []queue.Result {
	results := make([]queue.Result, n)
	for i := range results {
		results[i] = r
	}
	return results
}
