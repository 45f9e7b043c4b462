package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// doubtful begins a Put whose answer is lost, and whose outcome cannot be asked for,
// because the database is away. It returns the result of Put.
func doubtful(t *testing.T, s *Store, proxy *pgtest.Proxy, id string, size int) <-chan error {
	t.Helper()
	m := newMessage(id)
	m.Content = queue.String(strings.Repeat("x", size))
	fault := proxy.LastAnswer("insert into bridgehead.message")
	result := make(chan error, 1)
	go func() { result <- s.Put(context.Background(), m, queue.Schedule{}) }()
	<-fault.Happened()
	return result
}

// Close waits until the outcome of the calls of Put in progress is known.
func TestCloseWaitsForOutcome(t *testing.T) {
	server := pgtest.Shared(t)
	for _, size := range []int{100, largeContent + 1} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			url := server.Database(t)
			proxy := server.Proxy(t)
			s := open(t, proxy.URL(url), nil)
			result := doubtful(t, s, proxy, "m1", size)
			closed := make(chan error)
			go func() { closed <- s.Close() }()
			<-s.Closed()
			select {
			case err := <-result:
				t.Errorf("Put returned %v without an answer of the database", err)
			case err := <-closed:
				t.Errorf("Close returned %v before the outcome was known", err)
			case <-time.After(20 * time.Millisecond):
			}
			proxy.Up()
			if err := <-result; err != nil {
				t.Errorf("the message is stored, but Put returned %v", err)
			}
			if err := <-closed; err != nil {
				t.Errorf("Close: %v", err)
			}
			if got := stored(t, open(t, url, nil)); !slices.Equal(got, []string{"m1"}) {
				t.Errorf("stored are %v", got)
			}
		})
	}
}

// If the database stays away, Close does not wait for ever. The caller of Put learns that
// the outcome is unknown, and the log has the ID.
func TestCloseWithUnknownOutcome(t *testing.T) {
	server := pgtest.Shared(t)
	for _, size := range []int{100, largeContent + 1} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			var logs logged
			proxy := server.Proxy(t)
			s := open(t, proxy.URL(server.Database(t)),
				&Options{Logger: slog.New(slog.NewTextHandler(&logs, nil)), closeTimeout: 100 * time.Millisecond})
			result := doubtful(t, s, proxy, "m1", size)
			if err := s.Close(); !errors.Is(err, queue.ErrUnavailable) {
				t.Errorf("Close: %v", err)
			}
			if err := <-result; !errors.Is(err, queue.ErrUnavailable) || !errors.Is(err, errOutcomeUnknown) {
				t.Errorf("Put: %v", err)
			}
			if !logs.has("delivered twice if they are sent again") || !logs.has("m1") {
				t.Errorf("the log says nothing of the message:\n%s", logs.text.String())
			}
		})
	}
}

// Close records the changes that still collect.
func TestCloseRecordsChanges(t *testing.T) {
	url := pgtest.Database(t)
	s := open(t, url, nil)
	const n = 100
	for i := range n {
		if err := s.Put(t.Context(), newMessage(fmt.Sprint("m", i)), leasedTo("a")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n - 1 {
		if err := s.Remove(t.Context(), "a", fmt.Sprint("m", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := stored(t, open(t, url, nil)); !slices.Equal(got, []string{fmt.Sprint("m", n-1)}) {
		t.Errorf("stored are %v", got)
	}
}

// The changes that Close cannot record are in the log: their number, and some IDs.
func TestCloseLogsLostChanges(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	proxy := server.Proxy(t)
	var logs logged
	s := open(t, proxy.URL(url), &Options{Logger: slog.New(slog.NewTextHandler(&logs, nil)), closeTimeout: 100 * time.Millisecond})
	for i := range 30 {
		if err := s.Put(t.Context(), newMessage(fmt.Sprintf("m%02d", i)), leasedTo("a")); err != nil {
			t.Fatal(err)
		}
	}
	proxy.Down()
	removed := 0
	for i := range 30 {
		err := s.Remove(t.Context(), "a", fmt.Sprintf("m%02d", i))
		if err != nil { // the first group has failed
			break
		}
		removed++
	}
	if removed == 0 {
		t.Fatal("nothing was removed")
	}
	if err := s.Close(); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("Close: %v", err)
	}
	if !logs.has("results are not recorded") || !logs.has(fmt.Sprintf("messages=%d", removed)) || !logs.has("m00") || logs.has("m20") {
		t.Errorf("%d changes are lost, and the log is\n%s", removed, logs.text.String())
	}
}
