package graph

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// An attempt is one call of Deliver. It has a slot of the mailbox.
type attempt struct {
	t       *Transport
	job     *routing.Job
	mailbox string
	box     *mailbox
}

// run sends the message in as many requests as its recipients need.
func (a *attempt) run(ctx context.Context) []queue.Result {
	rcpts, most := a.job.Recipients, or(a.t.MaxRecipients, DefaultMaxRecipients)
	var results []queue.Result
	for len(rcpts) > 0 {
		part := rcpts[:min(most, len(rcpts))]
		rcpts = rcpts[len(part):]
		of := a.part(ctx, part)
		if len(rcpts) > 0 {
			queue.Progress(ctx, part, of)
		}
		results = append(results, of...)
	}
	return results
}

// part sends the message to recipients, except those that already have it.
func (a *attempt) part(ctx context.Context, rcpts []*queue.Recipient) []queue.Result {
	looks, inDoubt := a.earlier(rcpts)
	if looks == none {
		return a.send(ctx, rcpts)
	}
	_, id, err := compose(a.job.Message, rcpts)
	if err != nil {
		return same(len(rcpts), local(err))
	}
	sent, err := a.search(ctx, id, rcpts, looks)
	results := make([]queue.Result, len(rcpts))
	var left []*queue.Recipient
	var at []int
	for i, r := range rcpts {
		switch {
		case sent[i]:
			results[i] = a.found()
		case err != nil && inDoubt:
			results[i] = a.doubt(err)
		case err != nil:
			results[i] = a.notSearched(err)
		default:
			left, at = append(left, r), append(at, i)
		}
	}
	if len(left) == 0 {
		return results
	}
	if len(left) < len(rcpts) {
		queue.Progress(ctx, rcpts, results) // only the successes count
	}
	for k, r := range a.send(ctx, left) {
		results[at[k]] = r
	}
	return results
}

// searches is how often Sent Items is searched.
type searches int

const (
	none   searches = iota
	once            // now
	during          // now, and again during SearchTime
)

// started is when this process started. An older message may have been sent by an
// earlier one.
var started = time.Now()

// earlier reports how to search for a copy that an earlier attempt may have sent.
// inDoubt means that there was such an attempt.
func (a *attempt) earlier(rcpts []*queue.Recipient) (n searches, inDoubt bool) {
	m := a.job.Message
	if m.Interrupted > 0 {
		return during, true
	}
	for _, r := range rcpts {
		if strings.HasPrefix(r.Last.Reply.Message, doubtText) {
			return once, true
		}
	}
	if !m.Received.IsZero() && m.Received.Before(started) {
		return once, false
	}
	return none, false
}

// send sends the message to recipients in one request, or in more if Graph refuses
// one of the addresses.
func (a *attempt) send(ctx context.Context, rcpts []*queue.Recipient) []queue.Result {
	text, id, err := compose(a.job.Message, rcpts)
	if err != nil {
		return same(len(rcpts), local(err))
	}
	if int64(len(text)) > or(a.t.MaxSize, DefaultMaxSize) {
		return a.fallBack(ctx, rcpts, tooLarge)
	}
	ans := a.post(ctx, text, rcpts)
	switch v := a.judge(&ans); {
	case v == accepted:
		return same(len(rcpts), ans.result(queue.Success, 250, smtp.EnhancedCode{2, 0, 0}, "Accepted by Graph"))
	case v == tooBig:
		return a.fallBack(ctx, rcpts, ans.result(queue.Failure, 552, smtp.EnhancedCode{5, 3, 4}, tooLarge.Reply.Message))
	case v == unknown:
		return a.lost(ctx, &ans, id, rcpts)
	case ans.code == "ErrorInvalidRecipients" && ans.status == 400 && len(rcpts) > 1:
		half := len(rcpts) / 2
		first := a.send(ctx, rcpts[:half])
		queue.Progress(ctx, rcpts[:half], first)
		return append(first, a.send(ctx, rcpts[half:])...)
	}
	return same(len(rcpts), a.refused(&ans))
}

// lost searches for a message that Graph may have sent.
func (a *attempt) lost(ctx context.Context, ans *answer, id string, rcpts []*queue.Recipient) []queue.Result {
	looks := during
	if ans.status == 503 { // it has no time for a search either
		looks = once
	}
	sent, err := a.search(ctx, id, rcpts, looks)
	results := make([]queue.Result, len(rcpts))
	missing := false
	for i := range rcpts {
		if results[i] = a.doubt(ans.err); sent[i] {
			results[i] = a.found()
		} else {
			missing = true
		}
	}
	if err == nil && missing && ans.status/100 == 2 && a.t.Fallback != nil {
		return a.rest(ctx, rcpts, sent, results)
	}
	if missing {
		a.log().LogAttrs(ctx, slog.LevelWarn, "graph: it is not known whether Graph has sent the message; the next attempt searches for it first",
			slog.String("id", a.job.Message.ID), slog.Any("error", ans.err))
	}
	return results
}

// rest delivers with the Fallback to the recipients that were not sent to.
func (a *attempt) rest(ctx context.Context, rcpts []*queue.Recipient, sent []bool, results []queue.Result) []queue.Result {
	var left []*queue.Recipient
	var at []int
	for i, r := range rcpts {
		if !sent[i] {
			left, at = append(left, r), append(at, i)
		}
	}
	for k, r := range a.fallBack(ctx, left, results[at[0]]) {
		results[at[k]] = r
	}
	return results
}

func (a *attempt) fallBack(ctx context.Context, rcpts []*queue.Recipient, otherwise queue.Result) []queue.Result {
	k := *a.job
	k.Recipients = rcpts
	return a.t.fallBack(ctx, &k, otherwise)
}

func (a *attempt) log() *slog.Logger {
	if a.t.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.t.Logger
}

// doubtText begins the reply of a recipient that may have the message. The queue
// stores the reply, so a later process sees it too.
const doubtText = "Graph has not confirmed the message, which may have been sent"

func (a *attempt) doubt(err error) queue.Result {
	r := failed(queue.Deferred, 451, smtp.EnhancedCode{4, 4, 2}, doubtText)
	r.Err = err
	return r
}

func (a *attempt) found() queue.Result {
	r := failed(queue.Success, 250, smtp.EnhancedCode{2, 0, 0}, "Found in Sent Items")
	r.Host = a.t.endpoint.Hostname()
	return r
}

// hop returns the result for a failure that concerns all mail of the mailbox.
func (a *attempt) hop(code int, enhanced smtp.EnhancedCode, text string, err error) queue.Result {
	r := failed(queue.Unreachable, code, enhanced, text)
	if a.t.Mailbox == "" {
		r.Outcome = queue.Deferred // other senders have other mailboxes
	}
	r.Err = err
	return r
}

// notSearched returns the result for a message that an earlier process may have sent,
// although nothing says so. Another connector may send it.
func (a *attempt) notSearched(err error) queue.Result {
	if errors.Is(err, errToken) {
		return a.hop(451, smtp.EnhancedCode{4, 7, 0}, "No access token for Graph", err)
	}
	return a.hop(451, smtp.EnhancedCode{4, 4, 2}, "Graph could not search Sent Items", err)
}

// local returns the result for an error of this relay.
func local(err error) queue.Result {
	var reply *smtp.SMTPError
	if errors.As(err, &reply) && reply.Code >= 500 {
		return queue.Fail(err)
	}
	r := failed(queue.Deferred, 451, smtp.EnhancedCode{4, 3, 0}, "Local error in delivery")
	r.Err = err
	return r
}

// searchTime is how long a search is repeated.
func (t *Transport) searchTime() time.Duration { return or(t.SearchTime, DefaultSearchTime) }
