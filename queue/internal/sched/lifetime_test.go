package sched

import (
	"testing"
	"time"
)

func TestLifetime(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(h float64) time.Time { return from.Add(time.Duration(h * float64(time.Hour))) }
	const hour = time.Hour
	for _, c := range []struct {
		name string
		l    Lifetime
		now  float64 // hours after from
		wait time.Duration
		want Wait
	}{
		{"young", Lifetime{Notice: 12 * hour, Expiry: 48 * hour}, 1, hour, Wait{Retry: hour, Expire: at(48)}},
		{"the notice is due", Lifetime{Notice: 12 * hour, Expiry: 48 * hour}, 12, hour, Wait{Retry: hour, Notify: true, Expire: at(48)}},
		{"the sender was notified", Lifetime{Notice: 12 * hour, Expiry: 48 * hour, Notified: true}, 13, hour, Wait{Retry: hour, Expire: at(48)}},
		{"one last attempt", Lifetime{Notice: 12 * hour, Expiry: 48 * hour, Notified: true}, 47.5, hour, Wait{Retry: hour / 2, Expire: at(48)}},
		{"expired", Lifetime{Notice: 12 * hour, Expiry: 48 * hour}, 48, hour, Wait{Retry: hour, Expired: true, Expire: at(48)}},
		{"no notice, no expiry", Lifetime{}, 1000, hour, Wait{Retry: hour}},
		{"a closed hop", Lifetime{Expiry: 48 * hour}, 5, 0, Wait{Expire: at(48)}},
		{"by-mode R before the expiry", Lifetime{Expiry: 48 * hour, Deadline: at(2), Return: true}, 1, 2 * hour, Wait{Retry: hour, Expire: at(2)}},
		{"by-mode R, reached", Lifetime{Expiry: 48 * hour, Deadline: at(2), Return: true}, 2, hour, Wait{Retry: hour, Expired: true, Expire: at(2)}},
		{"by-mode R after the expiry", Lifetime{Expiry: 4 * hour, Deadline: at(9), Return: true}, 1, hour, Wait{Retry: hour, Expire: at(4)}},
		{"by-mode R without an expiry", Lifetime{Deadline: at(2), Return: true}, 1, hour, Wait{Retry: hour, Expire: at(2)}},
		{"by-mode N", Lifetime{Notice: 12 * hour, Expiry: 48 * hour, Deadline: at(2)}, 2, hour, Wait{Retry: hour, Notify: true, Expire: at(48)}},
		{"by-mode N after the notice", Lifetime{Notice: hour, Deadline: at(2)}, 1, hour, Wait{Retry: hour, Notify: true}},
	} {
		c.l.From = from
		if got := c.l.After(at(c.now), c.wait); got != c.want {
			t.Errorf("%s: %+v\nwant %+v", c.name, got, c.want)
		}
	}
}
