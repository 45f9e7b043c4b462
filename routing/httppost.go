package routing

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/http/httpguts"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// An HTTPPost is a Transport that posts mail to an HTTP server. The message is
// the body (message/rfc822). The envelope is in the header fields Mail-From,
// Rcpt-To (one for each recipient) and Message-Queue-Id.
//
// The response header field Smtp-Reply ("550 5.1.1 No such user") contains the
// result. The response has one such field for all recipients, or one for each
// recipient in the same order. Without it, the status decides:
//
//   - 2xx is success.
//   - 408, 425, 429 and 5xx defer the message.
//   - 3xx, 401, 403, 404, 405 and 407 are configuration errors and also defer it.
//   - Any other 4xx fails the recipients.
//
// If the server cannot be reached, the hop is unreachable. If the server has
// received the message but does not answer, the message is deferred, and the
// server can get it again.
type HTTPPost struct {
	// URL is the address that the requests are sent to. It must be set.
	URL string
	// Header is added to each request, for example Authorization.
	Header http.Header
	// Client sends the requests. The default has a timeout of 5 minutes.
	// Redirects are not followed unless Client.CheckRedirect is set.
	Client *http.Client
}

const defaultPostTimeout = 5 * time.Minute

// Deliver implements Transport.
func (p *HTTPPost) Deliver(ctx context.Context, j *Job) []queue.Result {
	req, err := p.request(ctx, j)
	if err != nil {
		return sameResults(len(j.Recipients), errorResult(err))
	}
	var sent atomic.Bool
	var denied atomic.Pointer[error]
	guardBody(ctx, req, &denied)
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) { sent.Store(i.Err == nil) }}))
	resp, err := p.client().Do(req)
	if reason := denied.Load(); err != nil && reason != nil {
		return sameResults(len(j.Recipients), errorResult(*reason))
	}
	if err != nil {
		r := queue.Result{Outcome: queue.Unreachable, Err: err,
			Reply: smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 1}, Message: "No answer from " + req.URL.Host}}
		if sent.Load() { // the server may have the message: do not try another hop now
			r.Outcome, r.Reply.EnhancedCode = queue.Deferred, smtp.EnhancedCode{4, 4, 2}
		}
		return sameResults(len(j.Recipients), r)
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be reused
	return postResults(len(j.Recipients), req.URL.Host, resp)
}

func (p *HTTPPost) request(ctx context.Context, j *Job) (*http.Request, error) {
	c := j.Message.Content
	body := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(c, 0, c.Size())), nil }
	first, _ := body()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, first)
	if err != nil {
		return nil, err
	}
	req.ContentLength, req.GetBody = c.Size(), body
	for name, values := range p.Header {
		req.Header[name] = append([]string(nil), values...)
	}
	req.Header.Set("Content-Type", "message/rfc822")
	req.Header.Set("Message-Queue-Id", j.Message.ID)
	req.Header.Set("Mail-From", j.Message.From)
	req.Header.Del("Rcpt-To")
	for _, r := range j.Recipients {
		req.Header.Add("Rcpt-To", r.Addr)
	}
	for _, name := range []string{"Mail-From", "Rcpt-To"} {
		for _, a := range req.Header[name] {
			if !httpguts.ValidHeaderFieldValue(a) {
				return nil, &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 3},
					Message: "An address of this message is not allowed in an HTTP header"}
			}
		}
	}
	return req, nil
}

// guardBody has queue.MayFinish called before the last byte of the body is sent. The
// request fails if that is not permitted, and denied then has the reason.
func guardBody(ctx context.Context, req *http.Request, denied *atomic.Pointer[error]) {
	size, get := req.ContentLength, req.GetBody
	req.GetBody = func() (io.ReadCloser, error) {
		body, err := get()
		return &guardedBody{ReadCloser: body, left: size, mayFinish: func() error {
			err := queue.MayFinish(ctx)
			if err != nil {
				denied.Store(&err)
			}
			return err
		}}, err
	}
	req.Body, _ = req.GetBody() // it has no error
}

// A guardedBody is a body of left bytes that calls mayFinish before the last of
// them.
type guardedBody struct {
	io.ReadCloser
	left      int64
	mayFinish func() error
}

func (b *guardedBody) Read(p []byte) (int, error) {
	if b.left > 1 && int64(len(p)) >= b.left {
		p = p[:b.left-1]
	}
	if b.left <= 1 {
		if err := b.mayFinish(); err != nil {
			return 0, err
		}
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

func (p *HTTPPost) client() *http.Client {
	c := http.Client{Timeout: defaultPostTimeout}
	if p.Client != nil {
		c = *p.Client
	}
	if c.CheckRedirect == nil {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return &c
}

func postResults(n int, host string, resp *http.Response) []queue.Result {
	replies := resp.Header.Values("Smtp-Reply")
	if len(replies) != 1 && len(replies) != n {
		replies = nil
	}
	results := make([]queue.Result, n)
	for i := range results {
		r := statusReply(resp.StatusCode)
		if len(replies) > 0 {
			if own, ok := parseReplyLine(replies[min(i, len(replies)-1)]); ok {
				r = own
			}
		}
		results[i] = queue.Result{Reply: r, Host: host}
		switch r.Code / 100 {
		case 2:
			results[i].Outcome = queue.Success
		case 5:
			results[i].Outcome = queue.Failure
		default:
			results[i].Outcome = queue.Deferred
		}
	}
	return results
}

// statusReply converts an HTTP status to an SMTP reply.
func statusReply(status int) smtp.SMTPError {
	r := smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0},
		Message: fmt.Sprintf("HTTP status %d %s", status, http.StatusText(status))}
	switch {
	case status/100 == 2:
		r.Code, r.EnhancedCode = 250, smtp.EnhancedCode{2, 0, 0}
	case status == 408, status == 425, status == 429, status/100 == 5:
	case status == 401, status == 403, status == 404, status == 405, status == 407, status/100 != 4:
		r.EnhancedCode = smtp.EnhancedCode{4, 3, 5}
	default:
		r.Code, r.EnhancedCode = 550, smtp.EnhancedCode{5, 0, 0}
	}
	return r
}

// parseReplyLine parses "550 5.1.1 No such user". The enhanced code is
// optional.
func parseReplyLine(line string) (r smtp.SMTPError, ok bool) {
	head, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	code, err := strconv.Atoi(head)
	if err != nil || len(head) != 3 || code/100 != 2 && code/100 != 4 && code/100 != 5 {
		return r, false
	}
	r = smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: firstLine(rest)}
	if enhanced, text, ok := cutEnhancedCode(r.Message); ok && enhanced[0] == code/100 {
		r.EnhancedCode, r.Message = enhanced, text
	}
	return r, true
}
