package graph

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// Each documented answer of Graph has a result. A message that Graph may have sent is
// searched for in Sent Items.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		step     step
		want     string
		searched bool
	}{
		"202":               {step{status: 202, send: true}, "success 250 2.0.0", false},
		"200, not sent":     {step{status: 200}, "deferred 451 4.4.2", true},
		"200, sent":         {step{status: 200, send: true}, "success 250 2.0.0", true},
		"204, not sent":     {step{status: 204}, "deferred 451 4.4.2", true},
		"redirect":          {step{status: 307, header: http.Header{"Location": {"https://evil.example/"}}}, "unreachable 451 4.3.5", false},
		"400":               {step{status: 400, code: "ErrorMimeContentInvalidBase64String"}, "failure 550 5.6.0", false},
		"400 recipient":     {step{status: 400, code: "ErrorInvalidRecipients"}, "failure 550 5.1.3", false},
		"401":               {step{status: 401, code: "InvalidAuthenticationToken"}, "unreachable 451 4.7.0", false},
		"403":               {step{status: 403, code: "ErrorAccessDenied"}, "unreachable 451 4.7.0", false},
		"403 send as":       {step{status: 403, code: "ErrorSendAsDenied"}, "failure 550 5.7.60", false},
		"404":               {step{status: 404, code: "ErrorInvalidUser"}, "unreachable 451 4.3.5", false},
		"408, not sent":     {step{status: 408}, "deferred 451 4.4.2", true},
		"413":               {step{status: 413}, "failure 552 5.3.4", false},
		"418":               {step{status: 418}, "unreachable 451 4.3.5", false},
		"429 for long":      {step{status: 429, header: http.Header{"Retry-After": {"600"}}}, "unreachable 451 4.3.2", false},
		"500, not sent":     {step{status: 500, code: "ErrorInternalServerError"}, "deferred 451 4.4.2", true},
		"500, sent":         {step{status: 500, send: true}, "success 250 2.0.0", true},
		"502, not sent":     {step{status: 502}, "deferred 451 4.4.2", true},
		"503, not sent":     {step{status: 503, header: http.Header{"Retry-After": {"1"}}}, "deferred 451 4.4.2", true},
		"504, not sent":     {step{status: 504}, "deferred 451 4.4.2", true},
		"504, sent":         {step{status: 504, send: true}, "success 250 2.0.0", true},
		"cut, not sent":     {step{}, "deferred 451 4.4.2", true},
		"cut, sent":         {step{send: true}, "success 250 2.0.0", true},
		"a code with a key": {step{status: 403, code: "secret-token"}, "unreachable 451 4.7.0", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, http2 := range []bool{false, true} {
				g := newGraphWith(t, http2, c.step)
				tr := g.transport()
				log, logged := logOf()
				tr.Logger = log
				if got := deliver(t, tr, job(letter, "bob@example.net")); got != c.want {
					t.Errorf("HTTP/2 %v: the result is %s, want %s", http2, got, c.want)
				}
				if posts, searches := g.counts(); posts != 1 || searches > 0 != c.searched {
					t.Errorf("HTTP/2 %v: %d requests, %d searches", http2, posts, searches)
				}
				if s := logged.String(); strings.Contains(s, "secret-token") || strings.Contains(s, "confidential") {
					t.Errorf("the log contains a secret: %s", s)
				}
			}
		})
	}
}

// A response that is not valid is lost. No part of it gets into a result or a log: it may
// contain the token.
func TestInvalidResponse(t *testing.T) {
	for name, c := range map[string]struct{ post, search string }{
		"not HTTP":        {post: "confidential secret-token\r\n\r\n"},
		"no field":        {post: "HTTP/1.1 202 Accepted\r\nconfidential secret-token\r\n\r\n"},
		"nothing":         {post: " "},
		"search":          {post: " ", search: "confidential secret-token\r\n\r\n"},
		"body of search":  {post: " ", search: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsecret-token\r\n"},
		"search, no body": {post: " ", search: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"},
	} {
		g := newGraphWith(t, false, step{status: 202})
		g.raw, g.rawSearch = c.post, c.search
		tr := g.transport()
		log, logged := logOf()
		tr.Logger = log
		if got := deliver(t, tr, job(letter, "bob@example.net")); got != "deferred 451 4.4.2" {
			t.Errorf("%s: the result is %s", name, got)
		}
		if s := logged.String(); !strings.Contains(s, errNoResponse.Error()) || strings.Contains(s, "secret-token") || strings.Contains(s, "confidential") {
			t.Errorf("%s: the log is %s", name, s)
		}
	}
}

// If all mail has one mailbox, a failure of the mailbox concerns all mail. Otherwise
// it concerns the sender.
func TestMailboxOfSender(t *testing.T) {
	g := newGraph(t, step{status: 404, code: "ErrorInvalidUser"})
	tr := g.transport()
	tr.Mailbox = ""
	for _, want := range []string{"deferred 451 4.3.5", "success 250 2.0.0"} {
		if got := deliver(t, tr, job(letter, "bob@example.net")); got != want {
			t.Errorf("the result is %s, want %s", got, want)
		}
	}
}

// failingConn fails after some bytes.
type failingConn struct {
	net.Conn
	left int
}

func (c *failingConn) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		c.Close()
		return 0, errors.New("cut")
	}
	return c.Conn.Write(p)
}

// A message that was not sent completely cannot be a duplicate: the next connector
// may try at once.
func TestNotSent(t *testing.T) {
	g := newGraph(t)
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"no connection": func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") },
		"cut": func(ctx context.Context, network, _ string) (net.Conn, error) {
			c, err := net.Dial(network, g.Listener.Addr().String())
			return &failingConn{c, 100_000}, err
		},
	} {
		tr := g.transport()
		tr.DialContext = dial
		if got := deliver(t, tr, job(letter+strings.Repeat("x\r\n", 200_000), "bob@example.net")); got != "unreachable 451 4.4.1" {
			t.Errorf("%s: the result is %s", name, got)
		}
	}
	for name, c := range map[string]struct {
		token string
		err   error
	}{"no token": {"", errors.New("AADSTS7000215")}, "empty": {"", nil}, "line end": {"a\r\nb", nil}} {
		tr := g.transport()
		tr.Token = func(context.Context) (string, error) { return c.token, c.err }
		if got := deliver(t, tr, job(letter, "bob@example.net")); got != "unreachable 451 4.7.0" {
			t.Errorf("%s: the result is %s", name, got)
		}
	}
	tr := g.transport()
	ctx := queue.WithMayFinish(t.Context(), func() error { return errors.New("the lease is lost") })
	if r := tr.Deliver(ctx, job(letter, "bob@example.net")); r[0].Outcome != queue.Deferred {
		t.Errorf("without the lease, the result is %v", r[0])
	}
	if posts, searches := g.counts(); posts != 0 || searches != 0 {
		t.Errorf("%d requests, %d searches", posts, searches)
	}
}

// The certificate must be valid for the name, and TLS must be 1.2 or later.
func TestTLS(t *testing.T) {
	g := newGraph(t)
	for name, change := range map[string]func(*Transport){
		"unknown authority": func(tr *Transport) { tr.RootCAs = nil },
		"another name":      func(tr *Transport) { tr.Endpoint = "https://graph.invalid" },
	} {
		tr := g.transport()
		change(tr)
		if got := deliver(t, tr, job(letter, "bob@example.net")); got != "unreachable 451 4.4.1" {
			t.Errorf("%s: the result is %s", name, got)
		}
	}
	if posts, _ := g.counts(); posts != 0 {
		t.Errorf("%d requests", posts)
	}
	for version, want := range map[uint16]string{tls.VersionTLS11: "unreachable 451 4.4.1", tls.VersionTLS12: "success 250 2.0.0"} {
		g := &fakeGraph{t: t, Server: httptest.NewUnstartedServer(nil)}
		g.Config.Handler, g.Config.ErrorLog = g, log.New(io.Discard, "", 0)
		g.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		g.StartTLS()
		t.Cleanup(g.Close)
		if got := deliver(t, g.transport(), job(letter, "bob@example.net")); got != want {
			t.Errorf("%s: the result is %s", tls.VersionName(version), got)
		}
	}
}

// 429 delays the mailbox by Retry-After. The attempt waits if that is short. Otherwise
// the next attempts make no request before the time.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		after := func(v string) step { return step{status: 429, header: http.Header{"Retry-After": {v}}} }
		g := newGraphInMemory(t, after("20"), after(time.Now().Add(50*time.Second).UTC().Format(http.TimeFormat)), step{status: 202, send: true}, after("600"))
		tr, began := g.transport(), time.Now()
		for i, c := range []struct {
			pause time.Duration // before the attempt
			want  string
			end   time.Duration
			posts int
		}{
			{0, "success 250 2.0.0", 50 * time.Second, 3},
			{0, "unreachable 451 4.3.2", 50 * time.Second, 4},
			{5 * time.Minute, "unreachable 451 4.3.2", 350 * time.Second, 4},
			{4 * time.Minute, "success 250 2.0.0", 650 * time.Second, 5},
		} {
			time.Sleep(c.pause)
			got := deliver(t, tr, job(letter, "bob@example.net"))
			if posts, _ := g.counts(); got != c.want || time.Since(began) != c.end || posts != c.posts {
				t.Errorf("attempt %d: the result is %s after %v and %d requests", i, got, time.Since(began), posts)
			}
		}
	})
	for value, want := range map[string]time.Duration{"": 0, "x": 0, "-1": 0, "120": 2 * time.Minute, "99999999999": time.Hour, "1m": 0,
		"Thu, 01 Jan 1970 00:00:00 GMT": time.Second} {
		if got := retryAfter(value); got != want {
			t.Errorf("Retry-After %q: %v, want %v", value, got, want)
		}
	}
}

// At most Concurrency attempts and Rate requests in any minute have a mailbox.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &mailboxes{slots: DefaultConcurrency, rate: DefaultRate}
		var box *mailbox
		for range 4 {
			box, _ = l.acquire("a")
		}
		if _, ok := l.acquire("a"); ok {
			t.Error("a fifth attempt has a slot")
		}
		if _, ok := l.acquire("b"); !ok {
			t.Error("the other mailbox has no slot")
		}
		l.release(box)
		if _, ok := l.acquire("a"); !ok {
			t.Error("the slot is not free")
		}
		began := time.Now()
		for i := range 90 {
			if !l.wait(t.Context(), box) {
				t.Fatalf("request %d may not be sent", i)
			}
			if got, want := time.Since(began), time.Duration(i/30)*time.Minute; got != want {
				t.Errorf("request %d is sent after %v, want %v", i, got, want)
			}
		}
		l.hold(box, 10*time.Minute)
		if l.wait(t.Context(), box) {
			t.Error("a request is sent before the end of Retry-After")
		}
		time.Sleep(10 * time.Minute)
		if !l.wait(t.Context(), box) {
			t.Error("no request is sent after Retry-After")
		}
		for i := range 3 * mailboxesKept {
			box, _ := l.acquire(strings.Repeat("x", i))
			l.release(box)
		}
		if n := len(l.known); n > mailboxesKept {
			t.Errorf("%d mailboxes are known", n)
		}
	})
}

// An attempt without a slot is Busy and makes no request.
func TestBusy(t *testing.T) {
	g := newGraph(t)
	tr := g.transport()
	tr.Concurrency = 1
	first := make(chan string)
	release := make(chan struct{})
	begun := make(chan struct{})
	g.begun = func() { close(begun); <-release }
	go func() { first <- deliver(t, tr, job(letter, "bob@example.net")) }()
	<-begun
	if got := deliver(t, tr, job(letter, "bob@example.net")); got != "busy 451 4.4.5" {
		t.Errorf("the result is %s", got)
	}
	close(release)
	if got := <-first; got != "success 250 2.0.0" {
		t.Errorf("the result is %s", got)
	}
}

// Mail that Graph cannot send goes to the Fallback. Without one it is not sent.
func TestFallback(t *testing.T) {
	large := letter + strings.Repeat("x", 2000)
	for name, c := range map[string]struct {
		change  func(*Transport, *routing.Job)
		step    step
		without string
		posts   int
	}{
		"null reverse-path": {func(_ *Transport, j *routing.Job) { j.Message.From = "" }, step{}, "deferred 451 4.3.5", 0},
		"REQUIRETLS":        {func(_ *Transport, j *routing.Job) { j.Message.Options.RequireTLS = true }, step{}, "failure 550 5.7.30", 0},
		"large":             {func(tr *Transport, j *routing.Job) { tr.MaxSize = 1000; j.Message.Content = queue.String(large) }, step{}, "failure 552 5.3.4", 0},
		"large with Bcc":    {func(tr *Transport, j *routing.Job) { tr.MaxSize = int64(len(letter)) }, step{}, "failure 552 5.3.4", 0},
		"413":               {func(*Transport, *routing.Job) {}, step{status: 413}, "failure 552 5.3.4", 1},
		"200":               {func(*Transport, *routing.Job) {}, step{status: 200}, "deferred 451 4.4.2", 1},
	} {
		for _, with := range []bool{false, true} {
			g := newGraph(t, c.step)
			tr, j, want := g.transport(), job(letter, "bob@example.net", "carol@example.net"), c.without
			if with {
				want = "success 250 2.0.0"
				tr.Fallback = routing.TransportFunc(func(_ context.Context, j *routing.Job) []queue.Result {
					return same(len(j.Recipients), failed(queue.Success, 250, smtp.EnhancedCode{2, 0, 0}, "by SMTP"))
				})
			}
			c.change(tr, j)
			if got := deliver(t, tr, j); got != want {
				t.Errorf("%s, fallback %v: the result is %s, want %s", name, with, got, want)
			}
			if posts, _ := g.counts(); posts != c.posts || g.received() != "" {
				t.Errorf("%s: %d requests, received %s", name, posts, g.received())
			}
		}
	}
	if got := new(Transport).Size(); got != 3_000_000-128<<10 {
		t.Errorf("SIZE is %d", got)
	}
}

// Settings that can never work are errors.
func TestValidate(t *testing.T) {
	token := func(context.Context) (string, error) { return "x", nil }
	for _, tr := range []*Transport{{}, {Token: token, Endpoint: "http://graph.microsoft.com"}, {Token: token, Endpoint: "https://192.0.2.1"},
		{Token: token, Endpoint: "https://u:p@graph.microsoft.com"}, {Token: token, Endpoint: "https://"}, {Token: token, Endpoint: "https://http://graph.microsoft.com"}, {Token: token, Rate: -1}, {Token: token, MaxSize: -1}} {
		if tr.Validate() == nil {
			t.Errorf("no error for endpoint %q", tr.Endpoint)
		}
		if got := deliver(t, tr, job(letter, "bob@example.net")); got != "deferred 451 4.3.0" {
			t.Errorf("the result is %s", got)
		}
	}
	if err := (&Transport{Token: token}).Validate(); err != nil {
		t.Error(err)
	}
}
