package routing

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/wall"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// The schedule of a connector follows the wall clock, also when it is set while mail
// waits: the queue and the router read the same clock.
func TestScheduleFollowsTheClock(t *testing.T) {
	for _, tc := range []struct {
		step  time.Duration // of the clock, after half an hour
		opens time.Duration // when the mail is sent
	}{
		{0, 8 * time.Hour}, {time.Hour, 7 * time.Hour}, {-time.Hour, 9 * time.Hour},
		{9 * time.Hour, 30 * time.Minute}, {23 * time.Hour, 9 * time.Hour}, {-20 * time.Hour, 4 * time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			x := newRelay(t, Connector{Name: "day", Spaces: []string{"*"}, Schedule: schedule(t, "08:00-18:00", time.UTC)})
			x.submit(t, "a@example.net", 10)
			time.Sleep(30 * time.Minute)
			x.ahead.Store(int64(tc.step))
			e := x.r.Explain(t.Context(), Question{To: "a@example.net"})
			if closed := tc.opens > 30*time.Minute; e.Held != closed || closed && !e.Until.Equal(x.began.Add(tc.opens+tc.step)) {
				t.Errorf("clock set by %v: Explain says held %v until %v", tc.step, e.Held, e.Until)
			}
			time.Sleep(tc.opens - 30*time.Minute - time.Second)
			if tc.opens > 30*time.Minute {
				x.expect(t, "clock set by "+tc.step.String()+", before it opens")
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			x.mu.Lock()
			defer x.mu.Unlock()
			late := (tc.opens + time.Minute).String() // the queue notices within a minute that the clock was set
			if len(x.came) != 1 || x.came[0] != "a@example.net "+tc.opens.String() && x.came[0] != "a@example.net "+late {
				t.Errorf("clock set by %v: got %q, want one at %v", tc.step, x.came, tc.opens)
			}
		})
	}
}

// A Fetcher waits for its schedule by the wall clock, also when that is set while it waits.
func TestFetchFollowsTheClock(t *testing.T) {
	for _, step := range []time.Duration{0, time.Hour, -time.Hour, 7 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now() // midnight UTC
			var ahead atomic.Int64
			var at []time.Duration
			ctx, stop := context.WithCancel(t.Context())
			f := &Fetcher{Provider: SmartHost{Host: "[192.0.2.1]"}, Interval: 100 * time.Hour, Domains: []string{"x.example"},
				Schedule: schedule(t, "08:00-18:00", time.UTC),
				Clock:    wall.Reading(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }),
				Transport: &smtpclient.Transport{Hostname: "branch.test", DialContext: func(context.Context, string, string) (net.Conn, error) {
					at = append(at, time.Since(began))
					stop()
					return nil, context.Canceled
				}}}
			time.AfterFunc(time.Minute+time.Second, func() { ahead.Store(int64(step)) })
			f.Run(ctx)
			want := 8*time.Hour - step
			if !slices.ContainsFunc(at, func(d time.Duration) bool { return d >= want && d <= want+scheduleCheck }) || len(at) != 1 {
				t.Errorf("clock set by %v: requested at %v, want %v", step, at, want)
			}
		})
	}
}
