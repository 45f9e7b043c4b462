package smtpclient

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A destination that used a host lately uses a session with it that another
// destination has left, without a lookup.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		tr := n.transport()
		tr.MaxMessages, tr.IdleTimeout = 2, time.Minute
		lookups := 0
		send := func(name string) {
			t.Helper()
			dst := to("192.0.2.1:25")
			hosts := dst.Hosts
			dst.Name = name
			dst.Hosts = func(ctx context.Context) ([]Host, error) { lookups++; return hosts(ctx) }
			expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), queued)
		}
		for range 3 {
			n.host("192.0.2.1:25", ehlo+one+one+quit)
		}
		for _, step := range []struct {
			name string
			want int // lookups
		}{{"a", 1}, {"b", 2}, {"c", 3}, {"a", 3}, {"b", 4}, {"a", 4}} {
			if send(step.name); lookups != step.want {
				t.Errorf("%s: %d lookups, want %d", step.name, lookups, step.want)
			}
		}
		tr.Close()
	})
}

// The number of places is limited, and they are forgotten in time.
func TestPlacesBound(t *testing.T) {
	var p places
	now := time.Now()
	for i := range 3 * maxPlaces {
		p.put(key{name: fmt.Sprint(i)}, sessionKey{}, now, time.Minute)
	}
	if n := len(p.young) + len(p.old); n > 2*maxPlaces {
		t.Errorf("%d places", n)
	}
	last := key{name: fmt.Sprint(3*maxPlaces - 1)}
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{time.Minute, true}, {2 * time.Minute, true}, {5 * time.Minute, false}} {
		if got := p.get(last, now.Add(tt.after), time.Minute, 5*time.Minute) != nil; got != tt.want {
			t.Errorf("after %v: %v", tt.after, got)
		}
	}
	p.put(last, sessionKey{}, now, time.Minute)
	if p.get(last, now.Add(5*time.Minute), time.Hour, 5*time.Minute) != nil {
		t.Error("a place is older than MaxAge")
	}
}
