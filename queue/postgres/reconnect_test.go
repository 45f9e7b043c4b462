package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// The database fails after Open has connected and looked at the tables. Open tries again.
func TestOpenRetriesAfterStart(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	proxy := server.Proxy(t)
	var logs logged
	fault := proxy.LastAnswer("bridgehead.seed")
	type result struct {
		s   *Store
		err error
	}
	opened := make(chan result, 1)
	go func() {
		s, err := Open(t.Context(), proxy.URL(url), &Options{Logger: slog.New(slog.NewTextHandler(&logs, nil)), closeTimeout: time.Second})
		opened <- result{s, err}
	}()
	<-fault.Happened()
	peers.Await(t, "Open says that it waits", func() bool { return logs.has("waiting for") })
	proxy.Up()
	r := <-opened
	if r.err != nil {
		t.Fatal(r.err)
	}
	defer r.s.Close()
	if err := r.s.Put(t.Context(), newMessage("m1"), queue.Schedule{}); err != nil {
		t.Error(err)
	}

	// It waits no longer than its context.
	proxy.LastAnswer("bridgehead.seed")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if s, err := Open(ctx, proxy.URL(url), &Options{Node: "second", closeTimeout: time.Second}); err == nil {
		s.Close()
		t.Error("Open succeeded without a database")
	} else if !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("the error is %v", err)
	}
}

// Each call of the same Store works again after each kind of outage, and so does the
// heartbeat.
func TestEachCallReconnects(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	s := open(t, url, &Options{Beat: 100 * time.Millisecond, DeadAfter: time.Minute})
	n := 0
	calls := []struct {
		name string
		call func(ctx context.Context, id string) error // id is leased to a
	}{
		{"Put", func(ctx context.Context, id string) error { return s.Put(ctx, newMessage(id+"new"), leasedTo("a")) }},
		{"Update", func(ctx context.Context, id string) error { return s.Update(ctx, "a", newMessage(id), leasedTo("a")) }},
		{"Remove", func(ctx context.Context, id string) error { return s.Remove(ctx, "a", id) }},
		{"Claim", func(ctx context.Context, id string) error {
			_, err := s.Claim(ctx, queue.Claim{Owner: "a", Max: 1, Now: time.Now(), Wall: time.Now(), Until: time.Now().Add(time.Hour)})
			return err
		}},
		{"Sync", func(ctx context.Context, _ string) error { return s.Sync(ctx) }},
	}
	for _, outage := range []struct {
		name     string
		down, up func()
	}{
		{name: "terminated", down: func() { server.Terminate(t) }},
		{name: "shutdown", down: func() { server.Shutdown(t) }, up: func() { server.Up(t) }},
		{name: "kill -9", down: func() { server.Kill9(t) }, up: func() { server.Up(t) }},
	} {
		t.Run(outage.name, func(t *testing.T) {
			ids := make([]string, len(calls))
			for i := range calls {
				n++
				ids[i] = fmt.Sprint("m", n)
				putLeased(t, s, ids[i])
			}
			if err := s.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			outage.down()
			if outage.up != nil {
				for _, name := range []string{"Put", "Claim", "Sync"} { // Update and Remove may be recorded later
					for i, c := range calls {
						// A Put whose outcome is unknown waits as long as its ctx permits.
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						err := c.call(ctx, ids[i])
						cancel()
						if c.name == name && !errors.Is(err, queue.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("%s without the server: %v", name, err)
						}
					}
				}
				peers.Await(t, "the heartbeat fails", func() bool { return s.node.silence() > 200*time.Millisecond })
				outage.up()
			}
			silence := s.node.silence()
			for i, c := range calls {
				peers.Await(t, c.name+" works again", func() bool {
					err := c.call(t.Context(), ids[i])
					if err != nil && !errors.Is(err, queue.ErrUnavailable) && !errors.Is(err, queue.ErrNotFound) && !errors.Is(err, queue.ErrExists) {
						t.Fatalf("%s: %v", c.name, err)
					}
					return err == nil || errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrExists)
				})
			}
			peers.Await(t, "the heartbeat works again", func() bool { return s.node.silence() < max(silence, 100*time.Millisecond) })
			if err := usable(t, s); err != nil {
				t.Error(err)
			}
		})
	}
}
