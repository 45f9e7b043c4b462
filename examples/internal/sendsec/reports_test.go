package sendsec

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

// A bureau is a state with scripted records, a scripted web server and a queue that
// delivers nothing.
type bureau struct {
	state
	records func(name string) (string, error)
	mails   []*queue.Message // not used by two goroutines at a time
	posts   atomic.Int32
	refuse  atomic.Bool // posts
}

func newBureau(file string) *bureau {
	b := new(bureau)
	b.resolver = routing.ResolverFunc(func(_ context.Context, name string, t routing.RecordType) (*routing.Answer, error) {
		text, err := b.records(name)
		if err != nil {
			return nil, err
		}
		return &routing.Answer{TXT: []string{text}}, nil
	})
	b.queue = &queue.Queue{Store: new(memory.Store), Deliverer: &routing.Router{}, Hooks: []queue.Hook{{Submitted: func(_ context.Context, m *queue.Message) error {
		b.mails = append(b.mails, m)
		return nil
	}}}}
	b.client, b.log, b.file = &http.Client{Transport: b}, slog.New(slog.DiscardHandler), file
	b.use(&Internet{reports: "tls@org.example"})
	return b
}

// RoundTrip implements http.RoundTripper.
func (b *bureau) RoundTrip(r *http.Request) (*http.Response, error) {
	b.posts.Add(1)
	r.Body.Close()
	if b.refuse.Load() {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: 201, Body: http.NoBody}, nil
}

// run runs send until the test calls stop.
func (b *bureau) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.send(ctx) }()
	return func() {
		cancel()
		if err := errors.Join(<-ended, b.Close()); err != nil {
			t.Error(err)
		}
	}
}

func (b *bureau) count(domain string) {
	b.collector.Record(tlsrpt.Session{Domain: domain, Policy: tlsrpt.Policy{Type: tlsrpt.NoPolicy}})
}

// The counts of a day are sent in the four hours after midnight (UTC), to all
// addresses that the domain requests.
func TestReportsAtMidnight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBureau(filepath.Join(t.TempDir(), "reports"))
		b.records = func(name string) (string, error) {
			switch name {
			case "_smtp._tls.a.example":
				return "v=TLSRPTv1; rua=mailto:tls%2Bx@a.example?subject=x,https://a.example/tls,mailto:not an address", nil
			case "_smtp._tls.b.example":
				return "v=spf1 -all", nil
			}
			return "", &routing.LookupError{Problem: routing.NoSuchName, Name: name, Type: routing.TypeTXT}
		}
		stop := b.run(t)
		time.Sleep(6 * time.Hour)
		for _, domain := range []string{"a.example", "b.example", "c.example"} {
			b.count(domain)
		}
		time.Sleep(18*time.Hour - time.Second)
		if b.posts.Load() > 0 {
			t.Error("the report was sent before midnight")
		}
		time.Sleep(maxSpread + 2*time.Second)
		synctest.Wait()
		if b.posts.Load() != 1 || len(b.mails) != 1 || b.mails[0].From != "tls@org.example" || b.mails[0].Recipients[0].Addr != "tls+x@a.example" {
			t.Errorf("%d posts, mail %+v", b.posts.Load(), b.mails)
		}
		if len(b.pending) != 0 {
			t.Errorf("%d reports are left", len(b.pending))
		}
		stop()
	})
}

// A report that cannot be sent is tried again each hour for a day. What was sent is
// not sent again.
func TestReportsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBureau(filepath.Join(t.TempDir(), "reports"))
		var asked atomic.Int32
		b.records = func(name string) (string, error) {
			if asked.Add(1) == 1 {
				return "", errors.New("timeout")
			}
			return "v=TLSRPTv1; rua=mailto:tls@a.example,https://a.example/tls", nil
		}
		b.refuse.Store(true)
		stop := b.run(t)
		b.count("a.example")
		time.Sleep(24*time.Hour + maxSpread + 30*time.Minute)
		if asked.Load() < 1 {
			t.Error("the records were not looked up")
		}
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if n := b.posts.Load(); n != 24 {
			t.Errorf("%d attempts, want 24: one each hour, after one without records", n)
		}
		if len(b.mails) != 1 {
			t.Errorf("%d mails, want one", len(b.mails))
		}
		if len(b.pending) != 0 {
			t.Errorf("%d reports are left", len(b.pending))
		}
		stop()
	})
}

// What is not sent when the gateway stops is sent by the next process, once. A damaged
// file is reported, and does not hinder it.
func TestReportsAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "reports")
	synctest.Test(t, func(t *testing.T) {
		rua := func(string) (string, error) { return "v=TLSRPTv1; rua=https://a.example/tls", nil }
		first := newBureau(file)
		stop := first.run(t)
		first.count("a.example")
		time.Sleep(time.Hour)
		stop()
		second := newBureau(file)
		second.records = rua
		stop = second.run(t)
		time.Sleep(24*time.Hour + maxSpread)
		stop()
		if first.posts.Load() != 0 || second.posts.Load() != 1 {
			t.Errorf("%d and %d reports, want one of the second process", first.posts.Load(), second.posts.Load())
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("the file is still there")
		}
		if err := os.WriteFile(file, []byte(`[{"Report":`), 0o600); err != nil {
			t.Fatal(err)
		}
		third := newBureau(file)
		var log strings.Builder
		third.records, third.log = rua, slog.New(slog.NewTextHandler(&log, nil))
		stop = third.run(t)
		third.count("a.example")
		time.Sleep(24*time.Hour + maxSpread)
		stop()
		if third.posts.Load() != 1 || !strings.Contains(log.String(), "are lost") {
			t.Errorf("%d reports, log %s", third.posts.Load(), &log)
		}
	})
}
