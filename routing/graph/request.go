package graph

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

const (
	maxErrorBody  = 64 << 10
	maxHeader     = 64 << 10
	maxSearchBody = 4 << 20
)

// newClient returns a client that verifies TLS and follows no redirect: another host
// must not get the token.
func (t *Transport) newClient() *http.Client {
	return &http.Client{
		Timeout: or(t.Timeout, DefaultTimeout),
		Transport: &http.Transport{
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.RootCAs},
			ForceAttemptHTTP2:      true,
			Proxy:                  t.Proxy,
			DialContext:            t.DialContext,
			TLSHandshakeTimeout:    30 * time.Second,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// An answer is the outcome of a request.
type answer struct {
	status     int           // 0: no response
	code       string        // error.code of the body
	retryAfter time.Duration // 0: not set
	err        error         // what happened, without the body
	// sent is true if Graph may have received the complete request.
	sent bool
	// kind is the cause if the request was not sent.
	kind cause
	// host is empty if there is no response.
	host, addr, tls string
}

// A cause is why a request was not sent.
type cause int

const (
	network   cause = iota
	noToken         // no access token
	forbidden       // by queue.MayFinish
	throttled       // the limits of the mailbox
)

// result returns a result with the host of the answer.
func (ans *answer) result(o queue.Outcome, code int, enhanced smtp.EnhancedCode, text string) queue.Result {
	r := failed(o, code, enhanced, text)
	r.Host, r.Addr, r.TLS, r.Err = ans.host, ans.addr, ans.tls, ans.err
	return r
}

// post sends a message, and waits as long as the limits of the mailbox require.
func (a *attempt) post(ctx context.Context, text []byte, rcpts []*queue.Recipient) (ans answer) {
	early := queue.Early(ctx)
	encoded := base64.StdEncoding.AppendEncode(nil, text)
	for range 3 {
		if !a.t.mailboxes.wait(early, a.box) {
			if ans.err == nil {
				ans.err = errors.New("graph: the mailbox has sent too many messages in the last minute, or Graph has asked to wait")
			}
			ans.kind = throttled
			return ans
		}
		if ans = a.postOnce(ctx, encoded, rcpts); ans.status != http.StatusTooManyRequests {
			return ans
		}
	}
	return ans
}

func (a *attempt) postOnce(ctx context.Context, encoded []byte, rcpts []*queue.Recipient) answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body := &body{mayFinish: func() error { return queue.MayFinish(ctx) }}
	// Before its last byte, the request can be canceled without a duplicate.
	defer context.AfterFunc(queue.Early(ctx), func() {
		if !body.complete.Load() {
			cancel()
		}
	})()
	req, err := a.request(ctx, http.MethodPost, "/sendMail", nil)
	if err != nil {
		return answer{err: err, kind: noToken}
	}
	req.Header.Set("Content-Type", "text/plain")
	req.ContentLength = int64(len(encoded))
	req.GetBody = func() (io.ReadCloser, error) { // net/http calls it only if the server has not read the first body
		body.reset(encoded)
		return body, nil
	}
	req.Body, _ = req.GetBody()
	ans := a.do(req, func(addr, tls string) { queue.Transfer(ctx, rcpts, a.t.endpoint.Hostname(), addr, tls) }, func(r io.Reader) (string, error) {
		return errorCode(r), nil
	})
	ans.sent = body.complete.Load()
	if reason := body.denied.Load(); reason != nil {
		ans.kind, ans.err, ans.sent = forbidden, *reason, false
	}
	return ans
}

var errToken = errors.New("graph: no access token")

// request makes a request for the mailbox.
func (a *attempt) request(ctx context.Context, method, path string, query url.Values) (*http.Request, error) {
	if a.mailbox == "." || a.mailbox == ".." {
		return nil, errors.New("graph: the mailbox is not a name")
	}
	u := a.t.endpoint.JoinPath("v1.0/users", url.PathEscape(a.mailbox)+path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, errors.New("graph: the mailbox cannot be part of a URL")
	}
	token, err := a.t.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errToken, err)
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("%w: it is empty, or has characters that are not allowed", errToken)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return req, nil
}

// do sends a request. begin is called when it has a connection. read reads the body
// of the response, and returns the code of the error in it.
func (a *attempt) do(req *http.Request, begin func(addr, tls string), read func(io.Reader) (string, error)) answer {
	var ans answer
	var conn atomic.Pointer[[2]string]
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		of := [2]string{i.Conn.RemoteAddr().String(), ""}
		if c, is := i.Conn.(*tls.Conn); is {
			s := c.ConnectionState()
			of[1] = strings.ReplaceAll(tls.VersionName(s.Version), " ", "") + " " + tls.CipherSuiteName(s.CipherSuite)
		}
		conn.Store(&of)
		if begin != nil {
			begin(of[0], of[1])
		}
	}}
	resp, err := a.t.client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if c := conn.Load(); c != nil {
		ans.addr, ans.tls = c[0], c[1]
	}
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL has the query
		}
		if conn.Load() != nil {
			err = plain(req.Context(), err)
		}
		ans.err = fmt.Errorf("graph: %w", err)
		return ans
	}
	defer resp.Body.Close()
	ans.host, ans.status, ans.retryAfter = a.t.endpoint.Hostname(), resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"))
	code, err := read(resp.Body)
	if ans.code = code; err != nil {
		ans.err = err
	} else if ans.status != http.StatusAccepted && ans.status != http.StatusOK {
		ans.err = fmt.Errorf("graph: status %d %s%s", ans.status, ans.code, requestID(resp.Header))
	}
	if ans.status == http.StatusTooManyRequests || ans.status == http.StatusServiceUnavailable && ans.retryAfter > 0 {
		a.t.mailboxes.hold(a.box, or(ans.retryAfter, time.Minute))
	}
	return ans
}

var errNoResponse = errors.New("the connection ended without a valid response")

// plain returns the error of a request that had a connection. Errors of net/http about a
// response that is not valid have a part of its text, which must not get into a log.
func plain(ctx context.Context, err error) error {
	var (
		timeout net.Error
		network *net.OpError
	)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.As(err, &network), strings.HasPrefix(err.Error(), "tls: "):
		return err
	}
	return errNoResponse
}

// errorCode returns the code of an error response. Only letters are a code: the body
// must not get into a log.
func errorCode(r io.Reader) string {
	var e struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	text, _ := io.ReadAll(io.LimitReader(r, maxErrorBody))
	if json.Unmarshal(text, &e) != nil || len(e.Error.Code) > 64 ||
		strings.ContainsFunc(e.Error.Code, func(r rune) bool { return r|0x20 < 'a' || r|0x20 > 'z' }) {
		return ""
	}
	return e.Error.Code
}

// requestID returns the identifier of the request, for Microsoft's support.
func requestID(h http.Header) string {
	id := h.Get("request-id")
	if len(id) != 36 || strings.ContainsFunc(id, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef-", r) }) {
		return ""
	}
	return ", request-id " + id
}

// retryAfter parses Retry-After (RFC 9110, 10.2.3).
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), time.Second)
	}
	return 0
}

// A body is the body of a request. It calls mayFinish before its last byte, and
// notes that this byte was read: from then on, Graph may send the message.
type body struct {
	bytes.Reader
	mayFinish func() error
	denied    atomic.Pointer[error]
	complete  atomic.Bool
}

func (b *body) reset(text []byte) {
	b.Reader.Reset(text)
	b.complete.Store(false)
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	left := b.Len()
	if left > 1 && len(p) >= left {
		p = p[:left-1]
	}
	if left == 1 && len(p) > 0 {
		if err := b.mayFinish(); err != nil {
			b.denied.Store(&err)
			return 0, err
		}
		b.complete.Store(true)
	}
	return b.Reader.Read(p)
}

// WriteTo hides that of bytes.Reader, which would not call Read.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{b})
}

// Close implements io.Closer.
func (b *body) Close() error { return nil }
