package queue_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// The pages of all orders have together what Queues lists, sorted.
func TestQueuePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, _ *queue.Message, _ *queue.Recipient) queue.Result {
			if hop.Destination < "hop3" {
				return queue.Result{Outcome: queue.Unreachable}
			}
			return says(450, smtp.EnhancedCode{4, 2, 0}, "later")
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 200 {
			w.submit("alice@example.com", fmt.Sprintf("bob@hop%d.example", rnd.IntN(40)))
			time.Sleep(time.Second)
		}
		if _, err := w.q.Suspend(t.Context(), queue.Suspension{Domain: "hop9.example"}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.q.Do(t.Context(), queue.Filter{Hop: &queue.NextHop{Destination: "hop7.example"}}, queue.Suspend()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		all, err := w.q.Queues(t.Context())
		if err != nil || len(all) < 30 {
			t.Fatal(len(all), err)
		}
		for order, compare := range map[queue.QueueOrder]func(a, b queue.QueueInfo) int{
			queue.ByName:     func(a, b queue.QueueInfo) int { return 0 },
			queue.ByMessages: func(a, b queue.QueueInfo) int { return cmp.Compare(b.Stored, a.Stored) },
			queue.ByBytes:    func(a, b queue.QueueInfo) int { return cmp.Compare(b.Bytes, a.Bytes) },
			queue.ByOldest: func(a, b queue.QueueInfo) int {
				if a.Oldest.IsZero() != b.Oldest.IsZero() {
					return cmp.Compare(b2i(a.Oldest.IsZero()), b2i(b.Oldest.IsZero()))
				}
				return a.Oldest.Compare(b.Oldest)
			},
			queue.ByDeliveries: func(a, b queue.QueueInfo) int { return cmp.Compare(b.Deliveries, a.Deliveries) },
		} {
			for _, status := range []queue.QueueStatus{0, queue.QueueRetry, queue.QueueSuspended, queue.QueueAside, queue.QueueActive} {
				want := slices.DeleteFunc(slices.Clone(all), func(i queue.QueueInfo) bool { return status != 0 && i.Status != status })
				slices.SortStableFunc(want, compare)
				var got []queue.QueueInfo
				query := queue.QueueQuery{Order: order, Status: status, Limit: 7}
				for {
					page, total, err := w.q.QueuePage(t.Context(), query)
					if err != nil || total != len(want) || len(page) > 7 {
						t.Fatalf("order %d, status %v: %d of %d, %v; want %d", order, status, len(page), total, err, len(want))
					}
					got = append(got, page...)
					if len(page) < 7 {
						break
					}
					query.After = &page[6].Hop
				}
				if !reflect.DeepEqual(got, want) && len(want) > 0 {
					t.Errorf("order %d, status %v: got\n%v\nwant\n%v", order, status, got, want)
				}
			}
		}
		page, total, err := w.q.QueuePage(t.Context(), queue.QueueQuery{Destination: "HOP1*.example", Limit: 3})
		if err != nil || len(page) != 3 || total < 8 {
			t.Errorf("a pattern: %v, %d, %v", page, total, err)
		}
		one := all[len(all)/2]
		page, total, err = w.q.QueuePage(t.Context(), queue.QueueQuery{Hop: &one.Hop})
		if err != nil || total != 1 || !reflect.DeepEqual(page, []queue.QueueInfo{one}) {
			t.Errorf("one hop: %v, %d, %v; want %v", page, total, err, one)
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
