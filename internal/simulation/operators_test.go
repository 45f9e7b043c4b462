package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// operators work on the queue now and then until the world heals.
func (w *world) operators() {
	rnd := w.rand("operators")
	for i := 0; ; i++ {
		time.Sleep(time.Duration(rnd.Int64N(int64(5 * time.Minute))))
		if w.healed.Load() {
			return
		}
		if r := w.running(); r != nil {
			w.operate(r, rnd)
		}
	}
}

// operate performs one operation.
func (w *world) operate(r *relay, rnd *rand.Rand) {
	ctx := context.Background()
	kind := rnd.IntN(12)
	switch kind {
	case 0:
		w.trace.add("operator: freeze")
		r.queue.Freeze(context.Background())
		time.Sleep(time.Minute)
		r.queue.Thaw(context.Background())
		return
	case 1:
		w.trace.add("operator: pause")
		r.queue.Pause(context.Background())
		time.Sleep(time.Minute)
		r.queue.Continue(context.Background())
		return
	case 2, 3:
		w.trace.add("operator: reload")
		r.reload(rnd.IntN(len(w.tables)))
		return
	case 4:
		n, err := r.queue.Do(ctx, queue.Filter{}, queue.RetryNow())
		w.trace.add("operator: retry %d %v", n, err)
		return
	}
	info := w.choose(r, rnd)
	if info == nil {
		return
	}
	ops := []queue.Op{queue.Suspend(), queue.Suspend(), queue.Resume(), queue.Resubmit(), queue.Expire(), queue.Remove(true), queue.Remove(false),
		queue.Redirect(queue.NextHop{Connector: "out", Destination: fmt.Sprintf("d%d.example", rnd.IntN(domains))})}
	op := ops[rnd.IntN(len(ops))]
	switch op {
	case queue.Remove(false):
		w.oracle.removing(r, info)
		w.oracle.givingUp(info)
	case queue.Remove(true), queue.Expire():
		w.oracle.givingUp(info)
	}
	n, err := r.queue.Do(ctx, queue.Filter{ID: info.ID}, op)
	w.trace.add("operator: %v of mail to %s: %d %v", op, info.Recipients[0].Addr, n, err != nil)
}

// choose returns one of the messages in the queue.
func (w *world) choose(r *relay, rnd *rand.Rand) *queue.MessageInfo {
	var all []*queue.MessageInfo
	for info, err := range r.queue.Messages(context.Background(), queue.Filter{}) {
		if err != nil {
			return nil
		}
		if info.Status != queue.MessageBad {
			all = append(all, info)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[rnd.IntN(len(all))]
}

// resume ends what operators have begun: the messages that they suspended, and their
// routing tables.
func (w *world) resume(r *relay) {
	r.queue.Thaw(context.Background())
	r.queue.Continue(context.Background())
	r.router.SetTable(w.tables[0])
	for _, op := range []queue.Op{queue.Resume(), queue.RetryNow()} {
		if _, err := r.queue.Do(context.Background(), queue.Filter{}, op); err != nil && !r.machine.dead() {
			w.oracle.problem("operator: %v: %v", op, err)
		}
	}
	if _, err := r.queue.Do(context.Background(), queue.Filter{Status: queue.MessagePoison}, queue.Resubmit()); err != nil && !r.machine.dead() {
		w.oracle.problem("operator: resubmit poison: %v", err)
	}
}
