package queue_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A paced Deliverer has other times for the hop "partner.example".
type paced struct {
	*world
	pace queue.Pace
}

func (p paced) Pace(hop queue.NextHop) queue.Pace {
	if hop.Destination == "partner.example" {
		return p.pace
	}
	return queue.Pace{}
}

// The times in a delay notice, the times of the attempts, and the times in
// MessageInfo are the same, whether the policy, the connector or the sender
// sets them.
func TestLifetimeIsConsistent(t *testing.T) {
	for _, c := range []struct {
		name     string
		pace     queue.Pace
		by       *smtp.DeliverByOptions
		down     bool // the hop cannot be reached: the sweep of waiting mail decides
		noticed  time.Duration
		promised time.Duration // by Will-Retry-Until
		ended    time.Duration
	}{
		{"policy", queue.Pace{}, nil, false, time.Hour, 48 * time.Hour, 48 * time.Hour},
		{"connector expires earlier", queue.Pace{Expiry: 4 * time.Hour}, nil, false, time.Hour, 4 * time.Hour, 4 * time.Hour},
		{"connector expires later", queue.Pace{Expiry: 72 * time.Hour}, nil, false, time.Hour, 72 * time.Hour, 72 * time.Hour},
		{"connector's own delay notice", queue.Pace{DelayNotice: 3 * time.Hour, Expiry: 4 * time.Hour}, nil, false, 3 * time.Hour, 4 * time.Hour, 4 * time.Hour},
		{"connector never notifies", queue.Pace{DelayNotice: -1, Expiry: 4 * time.Hour}, nil, false, 0, 0, 4 * time.Hour},
		{"by-mode R", queue.Pace{Expiry: 4 * time.Hour}, &smtp.DeliverByOptions{Time: 2 * time.Hour, Mode: smtp.DeliverByReturn}, false, time.Hour, 2 * time.Hour, 2 * time.Hour},
		{"by-mode R after the connector's time", queue.Pace{Expiry: 4 * time.Hour}, &smtp.DeliverByOptions{Time: 9 * time.Hour, Mode: smtp.DeliverByReturn}, false, time.Hour, 4 * time.Hour, 4 * time.Hour},
		{"by-mode N", queue.Pace{Expiry: 4 * time.Hour}, &smtp.DeliverByOptions{Time: 30 * time.Minute, Mode: smtp.DeliverByNotify}, false, 30 * time.Minute, 4 * time.Hour, 4 * time.Hour},
		{"dead hop, policy", queue.Pace{}, nil, true, time.Hour, 48 * time.Hour, 48 * time.Hour},
		{"dead hop, connector", queue.Pace{DelayNotice: 2 * time.Hour, Expiry: 4 * time.Hour}, nil, true, 2 * time.Hour, 4 * time.Hour, 4 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(q *queue.Queue) {
					q.Retry = queue.Retry{Jitter: -1, DelayNotice: time.Hour, Expiry: 48 * time.Hour}
				})
				w.q.Deliverer = paced{w, c.pace}
				w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
					switch {
					case hop.Destination != "partner.example":
						return ok
					case c.down:
						return refused
					}
					return says(451, smtp.EnhancedCode{4, 2, 0}, "later")
				}
				w.run()
				defer w.shutdown()
				m := message("alice@example.com", "bob@partner.example")
				m.Recipients[0].Options.DeliverBy = c.by
				if err := w.q.Submit(context.Background(), m); err != nil {
					t.Fatal(err)
				}
				w.after(time.Minute)
				info, err := w.q.Message(context.Background(), m.ID)
				if err != nil {
					t.Fatal(err)
				}
				if at := info.Expires.Sub(w.begun); at != c.ended {
					t.Errorf("MessageInfo.Expires is %v, want %v", at, c.ended)
				}
				w.after(100 * time.Hour)
				var noticed, promised, ended time.Duration
				for _, call := range w.took() {
					switch {
					case call.hop != "example.com":
					case actionOf(call.text) == "delayed":
						noticed = call.at
						promised = until(t, call.text).Sub(w.begun)
					case actionOf(call.text) == "failed":
						ended = call.at
					}
				}
				near := func(got, want time.Duration) bool { return got >= want && got <= want+20*time.Minute }
				if !near(noticed, c.noticed) || promised.Round(time.Second) != c.promised || !near(ended, c.ended) {
					t.Errorf("delayed after %v (want %v), promised until %v (want %v), failed after %v (want %v)",
						noticed, c.noticed, promised, c.promised, ended, c.ended)
				}
			})
		})
	}
}

// until returns the Will-Retry-Until of a report.
func until(t *testing.T, report string) time.Time {
	t.Helper()
	i := slices.IndexFunc(strings.Split(report, "\r\n"), func(l string) bool { return strings.HasPrefix(l, "Will-Retry-Until: ") })
	if i < 0 {
		t.Fatalf("no Will-Retry-Until in %s", report)
	}
	at, err := time.Parse(time.RFC1123Z, strings.TrimPrefix(strings.Split(report, "\r\n")[i], "Will-Retry-Until: "))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// A connector has a longer queue lifetime than the policy. A recipient fails
// when that lifetime is over. If the report cannot be enqueued at that moment,
// it is not lost.
func TestReportWaitsForStoreAfterExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.q.Deliverer = paced{w, queue.Pace{DelayNotice: -1, Expiry: 120 * time.Hour}}
		full := true
		w.q.Hooks = []queue.Hook{{Name: "full", Submitted: func(_ context.Context, m *queue.Message) error {
			if m.System && full {
				return queue.ErrFull
			}
			return nil
		}}}
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if hop.Destination == "partner.example" {
				return says(451, smtp.EnhancedCode{4, 2, 0}, "later")
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		w.submit("alice@example.com", "bob@partner.example")
		w.after(120*time.Hour + time.Minute)
		full = false
		w.took()
		w.after(time.Hour)
		if got := actions(t, w.took()); !slices.Equal(got, []string{"bob@partner.example failed 4.4.7"}) {
			t.Errorf("reports %q", got)
		}
	})
}
