package postgres

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Two nodes see the same suspensions, and together do not exceed the limit.
func TestSuspensionsOfTwoNodes(t *testing.T) {
	url := pgtest.Database(t)
	a, b := open(t, url, &Options{Node: "a"}), open(t, url, &Options{Node: "b"})
	since := time.Now().Truncate(time.Microsecond)
	const fill = `insert into bridgehead.suspension select '', convert_to('d' || i, 'UTF8'), '', '', '', now(), null from generate_series(1, $1::integer) i`
	if err := a.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue(fill, queue.MaxSuspensions-1) }); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() {
			s := []*Store{a, b}[i%2]
			errs[i] = s.PutSuspension(t.Context(), queue.Suspension{Domain: fmt.Sprint("new", i), Reason: "a\xff\x00", By: "alice", Since: since})
		})
	}
	wg.Wait()
	stored := -1
	for i, err := range errs {
		switch {
		case err == nil && stored < 0:
			stored = i
		case err == nil:
			t.Error("a second one is stored: there are more than MaxSuspensions")
		case !errors.Is(err, queue.ErrFull):
			t.Error(err)
		}
	}
	if stored < 0 {
		t.Fatal("the last one that there is room for is not stored")
	}
	again := queue.Suspension{Domain: fmt.Sprint("new", stored), Reason: "longer\xff\x00", By: "bob", Since: since, Until: since.Add(time.Hour)}
	if err := a.PutSuspension(t.Context(), again); err != nil {
		t.Errorf("a suspension cannot be replaced when there are MaxSuspensions: %v", err)
	}
	all, err := b.Suspensions(t.Context())
	if err != nil || len(all) != queue.MaxSuspensions {
		t.Fatalf("%d suspensions, %v", len(all), err)
	}
	found := false
	for _, s := range all {
		if s.Domain == again.Domain {
			found = s.Reason == again.Reason && s.By == again.By && s.Since.Equal(again.Since) && s.Until.Equal(again.Until)
		}
	}
	if !found {
		t.Errorf("the other node does not see %+v", again)
	}
}
