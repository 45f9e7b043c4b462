package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

const (
	apiPath     = "api/v1"
	connectTime = 10 * time.Second
	// changeTime is how long a change may take: that of the console, and a bit.
	changeTime = 11 * time.Minute
	// idleTime is how long a stream or a download may send nothing, or longer with
	// a longer -timeout. A console sends something to a stream more often.
	idleTime = time.Minute
	// maxDocument is the maximum size of a JSON document in bytes.
	maxDocument = 64 << 20
)

// A client calls the API of a console. A path is below /api/v1 and begins with
// "/".
type client struct {
	base    *url.URL
	token   string
	where   string // the console, for error texts
	timeout time.Duration
	idle    time.Duration // how long a stream or a download may send nothing
	http    *http.Client
}

// newClient returns a client for a URL, or for a Unix socket if there is one.
func newClient(base *url.URL, token, socket string, config *tls.Config, timeout time.Duration) *client {
	dialer := &net.Dialer{Timeout: min(connectTime, timeout)}
	t := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: config, TLSHandshakeTimeout: min(connectTime, timeout)}
	where := "the console at " + base.String()
	if socket != "" {
		where = "the console at the socket " + socket
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	return &client{
		base: base, token: token, where: where, timeout: timeout, idle: max(idleTime, timeout),
		http: &http.Client{
			Transport: t,
			// A redirection would send the token to another path or host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// get reads a JSON document.
func (c *client) get(ctx context.Context, path string, query url.Values) (document, error) {
	return c.exchange(ctx, c.timeout, http.MethodGet, withQuery(path, query), "", nil)
}

// post sends parameters and reads the JSON document of the answer.
func (c *client) post(ctx context.Context, path string, form url.Values) (document, error) {
	timeout := c.timeout
	if form.Get("confirm") != "" {
		timeout = max(timeout, changeTime)
	}
	return c.exchange(ctx, timeout, http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

// exchange sends a request and reads the JSON document of the answer.
func (c *client) exchange(ctx context.Context, timeout time.Duration, method, path, kind string, body io.Reader) (document, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := c.send(ctx, method, path, kind, body, "application/json")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	doc, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, c.failed(err)
	case len(doc) > maxDocument:
		return nil, fmt.Errorf("%s: the answer has more than %d bytes", c.where, maxDocument)
	case !json.Valid(doc):
		return nil, c.notConsole(answer)
	}
	return doc, nil
}

// open reads an answer that is not JSON. It fails if the console sends nothing
// for a while. The caller closes it.
func (c *client) open(ctx context.Context, path string, query url.Values, accept string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &idleReader{cancel: cancel, cause: func() error { return context.Cause(ctx) }}
	r.timer = time.AfterFunc(c.idle, func() { cancel(errIdle) })
	answer, err := c.send(ctx, http.MethodGet, withQuery(path, query), "", nil, accept)
	if err != nil {
		r.timer.Stop()
		cancel(nil)
		return nil, err
	}
	r.body, r.idle = answer.Body, c.idle
	return r, nil
}

var errIdle = errors.New("the console sends nothing")

// An idleReader ends a request whose answer does not go on.
type idleReader struct {
	body   io.ReadCloser
	timer  *time.Timer
	idle   time.Duration
	cancel context.CancelCauseFunc
	cause  func() error
}

func (r *idleReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.timer.Reset(r.idle)
	if err != nil && err != io.EOF && r.cause() != nil {
		err = r.cause()
	}
	return n, err
}

func (r *idleReader) Close() error {
	r.timer.Stop()
	r.cancel(nil)
	return r.body.Close()
}

// withQuery returns a path with a query.
func withQuery(path string, query url.Values) string {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// send sends a request. kind is the media type of the body. The answer has the
// status 200.
func (c *client) send(ctx context.Context, method, path, kind string, body io.Reader, accept string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base.String()+apiPath+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", accept)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.failed(err)
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		return nil, c.problem(answer)
	}
	return answer, nil
}

// failed describes an error of the connection. It leaves out the URL, which is
// long and has the parameters.
func (c *client) failed(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s does not answer in time", c.where)
	}
	return fmt.Errorf("%s cannot be reached: %w", c.where, err)
}

// A problem is an error that the console reports (RFC 9457).
type problem struct {
	Status     int
	Title      string
	Detail     string
	Parameter  string
	RetryAfter string `json:"-"`
}

func (p *problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		text = "the console is busy: " + text
		if p.RetryAfter != "" {
			text += " (Retry after " + p.RetryAfter + " seconds)"
		}
	case http.StatusUnauthorized:
		text = "no access: " + text
	}
	return text
}

// problem returns the error of an answer whose status is not 200.
func (c *client) problem(answer *http.Response) error {
	p := &problem{}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument))
	if err != nil || kind != "application/problem+json" || json.Unmarshal(body, p) != nil {
		if answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusServiceUnavailable {
			return c.notConsole(answer)
		}
		*p = problem{} // a proxy has answered
	}
	p.Status, p.RetryAfter = answer.StatusCode, answer.Header.Get("Retry-After")
	if p.Title == "" {
		p.Title = answer.Status
	}
	return p
}

// notConsole is the error of an answer that is not from a console.
func (c *client) notConsole(answer *http.Response) error {
	return fmt.Errorf("%s is not a console of this version: GET or POST %s has the answer %s", c.where, path.Clean(answer.Request.URL.Path), answer.Status)
}

// isStatus reports whether the console has answered with this status.
func isStatus(err error, status int) bool {
	var p *problem
	return errors.As(err, &p) && p.Status == status
}

// notFound makes the answer 404 to a nothingError.
func notFound(err error) error {
	if isStatus(err, http.StatusNotFound) {
		return &nothingError{err.Error()}
	}
	return err
}

// A document is JSON that the API has returned.
type document []byte

// decode reads the document. Fields that v does not have are ignored.
func (d document) decode(v any) error {
	if err := json.Unmarshal(d, v); err != nil {
		return fmt.Errorf("the answer has another form than expected: %w", err)
	}
	return nil
}
