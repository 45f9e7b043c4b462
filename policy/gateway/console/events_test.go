package console

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A stream sends the totals every two seconds, and ends by itself.
func TestStreamOfTotals(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		r := httpGet("/events")
		r.Header.Set("Authorization", "Bearer "+w.token)
		answer := &lockedRecorder{header: http.Header{}}
		ctx, cancel := context.WithCancel(w.t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.console.ServeHTTP(answer, r.WithContext(ctx))
		}()
		synctest.Wait()
		w.submit(mail("bob@down.example"))
		time.Sleep(21 * time.Second) // the queue counts every ten seconds
		synctest.Wait()
		if n := strings.Count(answer.text(), "event: totals\ndata: {"); n != 11 {
			t.Errorf("%d events in 21 seconds\n%s", n, answer.text())
		}
		if !strings.Contains(answer.text(), `"messages":1,`) {
			t.Errorf("the message is not counted\n%s", answer.text())
		}
		time.Sleep(streamTime)
		select {
		case <-done:
		default:
			t.Error("the stream does not end")
			cancel()
			<-done
		}
		cancel()
	})
}

// A lockedRecorder records an answer that is read while it is written.
type lockedRecorder struct {
	header http.Header
	mu     sync.Mutex // guards body
	body   strings.Builder
}

func (r *lockedRecorder) Header() http.Header { return r.header }
func (r *lockedRecorder) WriteHeader(int)     {}
func (r *lockedRecorder) Flush()              {}

func (r *lockedRecorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.body.Write(p)
}

func (r *lockedRecorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.body.String()
}

// Streams are limited in number.
func TestStreamsAreLimited(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		for range maxAtOnce[boundStream] {
			release, err := w.console.bounds.take(boundStream)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
		}
		answer := w.do(httpGet(apiPrefix + "/events"))
		if answer.Code != http.StatusTooManyRequests || answer.Header().Get("Content-Type") != "application/problem+json" || answer.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v", answer.Code, answer.Header())
		}
		w.page("/queues", 200) // other requests have places of their own
	})
}

// Rates are those of the last minute.
func TestRates(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		var o overview
		w.get("/overview", &o)
		for range 30 {
			w.submit(mail("bob@ok.example"))
			time.Sleep(time.Second)
		}
		w.get("/overview", &o)
		if o.Totals.RateIn != 1 || o.Totals.RateOut != 1 || o.Totals.Accepted != 30 {
			t.Errorf("%+v", o.Totals)
		}
		time.Sleep(30 * time.Second)
		w.get("/overview", &o)
		if o.Totals.RateIn != 0.5 {
			t.Errorf("after a minute: %v per second", o.Totals.RateIn)
		}
		time.Sleep(time.Minute)
		w.get("/overview", &o)
		if o.Totals.RateIn != 0 {
			t.Errorf("after two minutes: %v per second", o.Totals.RateIn)
		}
	})
}

// Prometheus reads the metrics with the token.
func TestMetrics(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		w.submit(mail("bob@down.example"))
		answer := w.do(httpGet("/metrics"))
		if answer.Code != 200 || !strings.Contains(answer.Body.String(), "bridgehead_queue_messages{") || !strings.HasPrefix(answer.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%d %v\n%.500s", answer.Code, answer.Header(), answer.Body)
		}
		w.token = "wrong"
		if answer := w.do(httpGet("/metrics")); answer.Code != http.StatusUnauthorized {
			t.Errorf("without the token: %d", answer.Code)
		}
	})
}

// Health checks need no access.
func TestHealth(t *testing.T) {
	inWorld(t, &Console{Prefix: "/relay"}, func(w *world) {
		w.token = ""
		for _, path := range []string{"/relay/healthz", "/relay/readyz"} {
			if answer := w.do(httpGet(path)); answer.Code != 200 || !strings.Contains(answer.Body.String(), `"ok":true`) {
				t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
			}
		}
		w.queue.Freeze(w.t.Context())
		if answer := w.do(httpGet("/relay/readyz")); answer.Code != 503 {
			t.Errorf("frozen: %d", answer.Code)
		}
		w.token = w.console.token.secret
		if page := w.page("/", 200); !strings.Contains(page, "does not accept mail") {
			t.Error(page)
		}
		w.queue.Thaw(w.t.Context())
	})
}
