package queue_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// causes has recipients whose mail waits for the reason that their name gives.
var causes = map[string]queue.Result{
	"password@up.example":   {Outcome: queue.Deferred, Host: "up", Reply: smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{4, 7, 8}}},
	"policy@up.example":     {Outcome: queue.Deferred, Host: "up", Reply: smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 7, 1}}},
	"ourpolicy@up.example":  {Outcome: queue.Deferred, Reply: smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 5}}},
	"local@up.example":      {Outcome: queue.Deferred, Reply: smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 5}}},
	"busy@up.example":       {Outcome: queue.Deferred, Host: "up", Reply: smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}}},
	"busy@replaced.example": {Outcome: queue.Deferred, Host: "old", Reply: smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}}},
	"down@down.example":     refused,
}

// newCauses returns a queue with one waiting message for each cause, and one
// without a connector.
func newCauses(t *testing.T) (w *world, mend func()) {
	w = newWorld(t, nil)
	mended := false
	w.route = func(_ *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
		switch r.Addr {
		case "noway@gone.example":
			if !mended {
				return queue.NextHop{}, &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 4}, Message: "No connector"}
			}
		case "busy@replaced.example":
			if mended {
				return queue.NextHop{Connector: "out", Destination: "replacement"}, nil
			}
		case "down@down.example":
			return queue.NextHop{Connector: "out", Destination: "down.example"}, nil
		}
		return queue.NextHop{Connector: "out", Destination: "up"}, nil
	}
	w.deliver = func(_ queue.NextHop, _ *queue.Message, r *queue.Recipient) queue.Result {
		if mended {
			return ok
		}
		return causes[r.Addr]
	}
	for addr := range causes {
		w.submit("", addr)
	}
	w.submit("", "noway@gone.example")
	return w, func() { mended = true }
}

// When settings are replaced, the mail that waited for them is retried at once.
// Mail that waits because its host is busy keeps its retry time.
func TestSettingsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mend := newCauses(t)
		w.run()
		defer w.shutdown()
		w.after(3 * time.Second)
		w.took()
		w.q.SettingsChanged()
		w.after(3 * time.Second)
		w.took() // failed attempts
		mend()
		w.q.SettingsChanged()
		w.after(3 * time.Second)
		want := []string{"busy@replaced.example", "down@down.example", "local@up.example", "noway@gone.example",
			"ourpolicy@up.example", "password@up.example", "policy@up.example"}
		if got := to(w.took()); !slices.Equal(got, want) {
			t.Errorf("tried %q\nwant  %q", got, want)
		}
		w.after(10 * time.Minute)
		if got := to(w.took()); !slices.Equal(got, []string{"busy@up.example"}) {
			t.Errorf("later %q", got)
		}
	})
}

// At a restart, mail that waits because of local settings is retried at once.
// Mail that another host has deferred keeps its retry time.
func TestRestartRetriesLocalFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mend := newCauses(t)
		w.run()
		w.after(3 * time.Second)
		w.shutdown()
		w.took()
		mend()
		w.q = &queue.Queue{Store: w.store, Deliverer: w, Hostname: "relay.example.com", Retry: queue.Retry{Jitter: -1}}
		w.run()
		defer w.shutdown()
		w.after(3 * time.Second)
		want := []string{"busy@replaced.example", "down@down.example", "local@up.example", "noway@gone.example",
			"ourpolicy@up.example", "password@up.example"}
		if got := to(w.took()); !slices.Equal(got, want) {
			t.Errorf("tried %q\nwant  %q", got, want)
		}
	})
}

// A changer is a Deliverer that reports its changes.
type changer struct {
	*world
	changed func()
}

func (c *changer) OnChange(f func()) { c.changed = f }

// If settings are replaced during an attempt with the old ones, the message is
// attempted again with the new ones.
func TestSettingsReplacedDuringAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &changer{world: newWorld(t, nil)}
		c.q.Deliverer = c
		attempts := 0
		c.deliver = func(_ queue.NextHop, _ *queue.Message, r *queue.Recipient) queue.Result {
			if attempts++; attempts == 1 {
				time.Sleep(10 * time.Second)
				return causes[r.Addr]
			}
			return ok
		}
		c.run()
		defer c.shutdown()
		c.submit("", "ourpolicy@up.example")
		c.after(5 * time.Second)
		c.changed()
		c.after(6 * time.Second)
		if c.stored() != 0 || attempts != 2 {
			t.Errorf("%d attempts, %d messages left", attempts, c.stored())
		}
	})
}

// An unlistable is a Store whose List fails while fail is set.
type unlistable struct {
	queue.Store
	fail atomic.Bool
}

func (s *unlistable) List(ctx context.Context, q queue.Query) iter.Seq2[*queue.Entry, error] {
	if s.fail.Load() {
		return func(yield func(*queue.Entry, error) bool) { yield(nil, errors.New("the disk is on fire")) }
	}
	return s.Store.List(ctx, q)
}

// If the store fails, the check of the waiting mail is repeated later.
func TestSettingsChangedWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mend := newCauses(t)
		s := &unlistable{Store: w.store}
		w.q.Store = s
		w.run()
		defer w.shutdown()
		w.after(3 * time.Second)
		w.took()
		mend()
		s.fail.Store(true)
		w.q.SettingsChanged()
		w.after(3 * time.Second)
		s.fail.Store(false)
		w.after(2 * time.Minute)
		if got := to(w.took()); !slices.Contains(got, "noway@gone.example") || !slices.Contains(got, "password@up.example") {
			t.Errorf("tried %q", got)
		}
	})
}

// SettingsChanged can be called on a Queue that never runs.
func TestSettingsChangedBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newCauses(t)
		w.q.SettingsChanged()
		if err := w.q.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
