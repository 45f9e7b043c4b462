package routing

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A transport asks queue.MayFinish before a delivery becomes final. If the answer is
// an error, nothing is delivered, no other hop is tried, and the message is deferred.
func TestMayFinish(t *testing.T) {
	var posted atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			posted.Add(1)
		}
	}))
	defer server.Close()
	drop, piped := t.TempDir(), t.TempDir()
	// The command delivers when its input ends.
	script := `cat >part && mv part whole`
	for _, tt := range []struct {
		name      string
		transport Transport
		delivered func() bool
	}{
		{"pipe", &Pipe{Command: shell(t, script), Dir: piped}, func() bool {
			_, err := os.Stat(filepath.Join(piped, "whole"))
			return err == nil
		}},
		{"drop directory", &DropDir{Dir: drop}, func() bool {
			files, _ := filepath.Glob(filepath.Join(drop, "*"))
			return len(files) > 0
		}},
		{"HTTP", &HTTPPost{URL: server.URL}, func() bool { return posted.Load() > 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lost := errors.New("the lease is lost")
			calls := 0
			for _, answer := range []error{lost, nil} {
				var other atomic.Bool
				r := &Router{Table: table(t,
					Connector{Name: "first", Spaces: []string{"*"}, Transport: tt.transport},
					Connector{Name: "second", Spaces: []string{"*;2"}, Transport: TransportFunc(func(context.Context, *Job) []queue.Result {
						other.Store(true)
						return sameResults(1, queue.Defer(nil))
					})})}
				ctx := queue.WithMayFinish(t.Context(), func() error { calls++; return answer })
				results := r.Deliver(ctx, queue.NextHop{Connector: "first", Destination: "first"}, letter("Subject: x\r\n\r\n"+strings.Repeat("text\r\n", 50_000)), queue.Rcpt("bob@example.net"))
				want := queue.Success
				if answer != nil {
					want = queue.Deferred
				}
				if results[0].Outcome != want || !errors.Is(results[0].Err, answer) || tt.delivered() != (answer == nil) || other.Load() {
					t.Errorf("answer %v: %+v, delivered %v, other hop %v", answer, results[0], tt.delivered(), other.Load())
				}
			}
			if calls == 0 {
				t.Error("MayFinish was not called")
			}
		})
	}
}

// A pipe that is denied at the end of the message kills the command.
func TestMayFinishKillsPipe(t *testing.T) {
	dir := t.TempDir()
	p := &Pipe{Command: shell(t, `cat >part && mv part whole`), Dir: dir}
	calls := 0
	ctx := queue.WithMayFinish(t.Context(), func() error {
		if calls++; calls == 1 {
			return nil // the command may start
		}
		return queue.ErrLeaseLost
	})
	results := p.Deliver(ctx, &Job{Message: letter("Subject: x\r\n\r\n"), Recipients: queue.Rcpt("bob@example.net")})
	if _, err := os.Stat(filepath.Join(dir, "whole")); err == nil || !errors.Is(results[0].Err, queue.ErrLeaseLost) || results[0].Outcome != queue.Deferred || calls != 2 {
		t.Errorf("%+v after %d calls, delivered: %v", results[0], calls, err == nil)
	}
}

// The body of a request is the same with the question, and an empty one asks too.
func TestGuardedBody(t *testing.T) {
	for _, text := range []string{"", "x", "xy", strings.Repeat("0123456789", 10_000)} {
		calls := 0
		b := &guardedBody{ReadCloser: io.NopCloser(strings.NewReader(text)), left: int64(len(text)), mayFinish: func() error { calls++; return nil }}
		got, err := io.ReadAll(b)
		if string(got) != text || err != nil || calls == 0 {
			t.Errorf("%d bytes: %d, %v, %d calls", len(text), len(got), err, calls)
		}
		denied := errors.New("denied")
		b = &guardedBody{ReadCloser: io.NopCloser(strings.NewReader(text)), left: int64(len(text)), mayFinish: func() error { return denied }}
		if got, err := io.ReadAll(b); len(got) != max(len(text)-1, 0) || !errors.Is(err, denied) {
			t.Errorf("denied after %d of %d bytes: %v", len(got), len(text), err)
		}
	}
}
