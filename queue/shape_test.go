package queue_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// shapeStore has messages of some ages for some domains. The clock must not move.
func shapeStore(t *testing.T) *memory.Store {
	t.Helper()
	s := new(memory.Store)
	t.Cleanup(func() { s.Close() })
	now := time.Now()
	for i, m := range []struct {
		minutes float64
		from    string
		hop     queue.NextHop
		rcpts   string
	}{
		{0, "a@one.example", fewHop, "x@mx.a.example y@MX.A.example"},
		{4.9, "b@One.example", fewHop, "x@a.example"},
		{5, "", fewHop, "x@b.example"},
		{9.9, "", manyHop, "x@b.example z@[192.0.2.1]"},
		{21, "a@two.example", manyHop, "x@b.example done@elsewhere.example"},
		{100000, "a@one.example", manyHop, "postmaster"},
		{1, "a@one.example", asideHop(queue.SuspendedQueue), "x@b.example"},
		{1, "", asideHop(queue.BadMailQueue), "x@b.example"},
	} {
		msg := &queue.Message{ID: fmt.Sprintf("m%d", i), From: m.from, Content: queue.String("x"),
			Recipients: queue.Rcpt(strings.Fields(m.rcpts)...), Received: now.Add(-time.Duration(m.minutes * float64(time.Minute)))}
		for _, r := range msg.Recipients {
			if strings.HasPrefix(r.Addr, "done") {
				r.Status = queue.Delivered
			}
		}
		if err := s.Put(t.Context(), msg, queue.Schedule{Due: now.Add(time.Hour), Wait: time.Hour, Hop: m.hop}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// rowsOf returns a table in short form.
func rowsOf(s *queue.Shape) string {
	var b strings.Builder
	for _, r := range append(s.Rows, s.Rest, s.Total) {
		fmt.Fprintf(&b, "%s %d %d\n", r.Domain, r.Total, r.Ages)
	}
	return b.String()
}

// The tables are the same with and without a Searcher.
func TestShape(t *testing.T) {
	suspended := asideHop(queue.SuspendedQueue)
	for _, tc := range []struct {
		name string
		o    queue.ShapeOptions
		want string
	}{
		{"recipients", queue.ShapeOptions{Ages: 4}, `
b.example 3 [0 2 0 1]
mx.a.example 2 [2 0 0 0]
 1 [0 0 0 1]
[192.0.2.1] 1 [0 1 0 0]
a.example 1 [1 0 0 0]
 0 [0 0 0 0]
 8 [3 3 0 2]
`},
		{"two rows", queue.ShapeOptions{Ages: 4, Rows: 2}, `
b.example 3 [0 2 0 1]
mx.a.example 2 [2 0 0 0]
 3 [1 1 0 1]
 8 [3 3 0 2]
`},
		{"senders", queue.ShapeOptions{Ages: 3, Senders: true}, `
one.example 3 [2 0 1]
 2 [0 2 0]
two.example 1 [0 0 1]
 0 [0 0 0]
 6 [2 2 2]
`},
		{"parents", queue.ShapeOptions{Ages: 2, Parents: true}, `
.example 6 [3 3]
.a.example 3 [3 0]
b.example 3 [0 3]
mx.a.example 2 [2 0]
 1 [0 1]
[192.0.2.1] 1 [0 1]
a.example 1 [1 0]
 0 [0 0]
 8 [3 5]
`},
		{"parents in two rows", queue.ShapeOptions{Ages: 2, Parents: true, Rows: 2}, `
.example 6 [3 3]
.a.example 3 [3 0]
 8 [3 5]
 8 [3 5]
`},
		{"hop", queue.ShapeOptions{Ages: 2, Hop: &manyHop, Unit: 10 * time.Minute}, `
b.example 2 [1 1]
 1 [0 1]
[192.0.2.1] 1 [1 0]
 0 [0 0]
 4 [2 2]
`},
		{"suspended", queue.ShapeOptions{Ages: 1, Hop: &suspended}, `
b.example 1 [1]
 0 [0]
 1 [1]
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := shapeStore(t)
				for _, s := range []queue.Store{store, plainStore{store}} {
					q := &queue.Queue{Store: s, Hostname: "relay.example.com", Deliverer: routes{}}
					shape, err := q.Shape(t.Context(), tc.o)
					if err != nil || !shape.Complete {
						t.Fatalf("%+v, %v", shape, err)
					}
					if got := rowsOf(shape); "\n"+got != tc.want {
						t.Errorf("%T: got\n%s\nwant%s", s, got, tc.want)
					}
				}
			})
		})
	}
}

// The limits of the ages are those of qshape.
func TestShapeLimits(t *testing.T) {
	q := &queue.Queue{Store: new(memory.Store), Hostname: "relay.example.com", Deliverer: routes{}}
	s, err := q.Shape(t.Context(), queue.ShapeOptions{})
	if err != nil || fmt.Sprint(s.Limits) != "[5m0s 10m0s 20m0s 40m0s 1h20m0s 2h40m0s 5h20m0s 10h40m0s 21h20m0s]" || len(s.Total.Ages) != 10 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, o := range []queue.ShapeOptions{{Unit: -1}, {Ages: 33}, {Ages: -1}, {Rows: 1001}, {Rows: -1}, {Ages: 32, Unit: 1000 * time.Hour}} {
		if _, err := q.Shape(t.Context(), o); err == nil {
			t.Errorf("%+v is not refused", o)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Shape(ended, queue.ShapeOptions{}); err == nil {
		t.Error("Shape ignores its context")
	}
}
