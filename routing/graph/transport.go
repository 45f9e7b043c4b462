package graph

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// The defaults of a Transport.
const (
	DefaultEndpoint = "https://graph.microsoft.com"
	// DefaultConcurrency and DefaultRate are limits of Exchange Online for a mailbox.
	DefaultConcurrency = 4
	DefaultRate        = 30
	// DefaultMaxSize is what fits into a request of 4 MB, the limit of Graph, in
	// base64.
	DefaultMaxSize = 3_000_000
	// DefaultMaxRecipients is the default recipient limit of a mailbox in Exchange
	// Online.
	DefaultMaxRecipients = 500
	// DefaultSearchTime is an assumption: how late an item appears in Sent Items is not
	// documented.
	DefaultSearchTime = 2 * time.Minute
	// DefaultTimeout is enough for the largest message at 200 kbit/s.
	DefaultTimeout = 3 * time.Minute

	// headerRoom is the room for fields that the relay and this package add.
	headerRoom = 128 << 10
)

// A Transport is a routing.Transport that sends mail with Microsoft Graph. The
// fields must not change after the first call of a method. A Transport is safe for
// concurrent use. It keeps connections until Close.
type Transport struct {
	// Token returns an access token for Graph. It is called for each request, so it
	// should return a token that it has kept. It must be set.
	Token func(ctx context.Context) (string, error)
	// Mailbox is the user principal name or the ID of the mailbox that sends. If it
	// is empty, the reverse-path of a message is the mailbox.
	Mailbox string
	// Endpoint is the URL of Graph, with https and a host name. The default is
	// DefaultEndpoint. National clouds have others.
	Endpoint string
	// Fallback delivers the messages that Graph cannot send. It gets the same Job.
	// It may be nil.
	Fallback routing.Transport

	// Concurrency is the maximum number of attempts at a time, and Rate the maximum
	// number of messages in any minute, for each mailbox. 0 means the defaults.
	Concurrency, Rate int
	// MaxSize is the maximum size of a message in bytes, with the fields that this
	// package adds. 0 means DefaultMaxSize.
	MaxSize int64
	// MaxRecipients is the maximum number of recipients of one request. More are
	// sent in several requests. 0 means DefaultMaxRecipients.
	MaxRecipients int
	// SearchTime is how long Sent Items is searched for a message that may have been
	// sent. 0 means DefaultSearchTime.
	SearchTime time.Duration
	// Timeout is the maximum duration of a request. 0 means DefaultTimeout.
	Timeout time.Duration

	// RootCAs are the authorities that certificates are verified with. nil means
	// those of the system.
	RootCAs *x509.CertPool
	// Proxy returns the proxy for a request, as in http.Transport. nil means none.
	Proxy func(*http.Request) (*url.URL, error)
	// DialContext connects, as in http.Transport. nil means net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Logger gets warnings. nil means none. Tokens and the bodies of responses are
	// never logged.
	Logger *slog.Logger

	once      sync.Once
	invalid   error
	endpoint  *url.URL
	client    *http.Client
	mailboxes mailboxes
}

var (
	_ routing.Transport = (*Transport)(nil)
	_ io.Closer         = (*Transport)(nil)
)

// Validate returns an error if the settings can never work.
func (t *Transport) Validate() error {
	_, err := t.validate()
	return err
}

func (t *Transport) validate() (*url.URL, error) {
	var errs []error
	if t.Token == nil {
		errs = append(errs, errors.New("graph: Token is not set"))
	}
	u, err := url.Parse(or(t.Endpoint, DefaultEndpoint))
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		// Without its text: it may contain a password.
		errs = append(errs, errors.New("graph: Endpoint is not an https URL of a host"))
	} else if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		errs = append(errs, errors.New("graph: Endpoint has an IP address: a token is sent only to a host with a name"))
	}
	for _, s := range []struct {
		name  string
		value int64
	}{{"Concurrency", int64(t.Concurrency)}, {"Rate", int64(t.Rate)}, {"MaxSize", t.MaxSize}, {"MaxRecipients", int64(t.MaxRecipients)},
		{"SearchTime", int64(t.SearchTime)}, {"Timeout", int64(t.Timeout)}} {
		if s.value < 0 {
			errs = append(errs, fmt.Errorf("graph: %s is negative", s.name))
		}
	}
	return u, errors.Join(errs...)
}

// Size is the largest message that a relay should accept if the Transport has no
// Fallback: MaxSize without the room for header fields that are added.
func (t *Transport) Size() int64 {
	size := or(t.MaxSize, DefaultMaxSize)
	return max(size-headerRoom, size/2)
}

// Close closes idle connections, and the Fallback if it is an io.Closer.
func (t *Transport) Close() error {
	t.init()
	t.client.CloseIdleConnections()
	if c, ok := t.Fallback.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (t *Transport) init() {
	t.once.Do(func() {
		t.endpoint, t.invalid = t.validate()
		t.client = t.newClient()
		t.mailboxes.slots, t.mailboxes.rate = or(t.Concurrency, DefaultConcurrency), or(t.Rate, DefaultRate)
	})
}

// Deliver implements routing.Transport.
func (t *Transport) Deliver(ctx context.Context, j *routing.Job) []queue.Result {
	t.init()
	if t.invalid != nil {
		return same(len(j.Recipients), queue.Defer(t.invalid))
	}
	switch m := j.Message; {
	case m.From == "":
		return t.fallBack(ctx, j, failed(queue.Deferred, 451, smtp.EnhancedCode{4, 3, 5},
			"Graph cannot send the null reverse-path: the relay needs another transport for reports, or a sender of its own for them"))
	case m.Options.RequireTLS: // RFC 8689, 4.2.1
		return t.fallBack(ctx, j, failed(queue.Failure, 550, smtp.EnhancedCode{5, 7, 30}, "REQUIRETLS is not supported by Graph"))
	case m.Content.Size() > or(t.MaxSize, DefaultMaxSize):
		return t.fallBack(ctx, j, tooLarge)
	}
	name := or(t.Mailbox, j.Message.From)
	box, ok := t.mailboxes.acquire(addr.Lower(name))
	if !ok {
		busy := failed(queue.Busy, 451, smtp.EnhancedCode{4, 4, 5}, "Too many requests for this mailbox at a time")
		busy.Addr = t.endpoint.Host
		return same(len(j.Recipients), busy)
	}
	defer t.mailboxes.release(box)
	a := &attempt{t: t, job: j, mailbox: name, box: box}
	return a.run(ctx)
}

// fallBack delivers with the Fallback. Without one, the result is otherwise.
func (t *Transport) fallBack(ctx context.Context, j *routing.Job, otherwise queue.Result) []queue.Result {
	if t.Fallback == nil {
		return same(len(j.Recipients), otherwise)
	}
	results := t.Fallback.Deliver(ctx, j)
	if len(results) != len(j.Recipients) {
		return same(len(j.Recipients), queue.Defer(fmt.Errorf("graph: Fallback: %d results for %d recipients", len(results), len(j.Recipients))))
	}
	return results
}

var tooLarge = failed(queue.Failure, 552, smtp.EnhancedCode{5, 3, 4}, "The message is too large for Graph")

// failed returns a result with a reply that is made locally.
func failed(o queue.Outcome, code int, enhanced smtp.EnhancedCode, text string) queue.Result {
	return queue.Result{Outcome: o, Reply: smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}}
}

// same returns the same result for n recipients.
func same(n int, r queue.Result) []queue.Result {
	results := make([]queue.Result, n)
	for i := range results {
		results[i] = r
	}
	return results
}

// or returns v, or otherwise if v is the zero value.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
