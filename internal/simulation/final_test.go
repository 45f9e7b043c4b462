package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// keepResults makes the relay an application that gets the final results, in half of the
// worlds. The application fails now and then.
func (w *world) keepResults(r *relay) {
	w.oracle.results = w.rand("results").IntN(2) == 0
	if w.oracle.results {
		r.queue.FinalResults = r.finalResults
	}
}

func (r *relay) finalResults(ctx context.Context, m *queue.Message, rcpts []*queue.Recipient) error {
	rnd := r.w.rand(fmt.Sprintf("results %s %d %d", rcpts[0].Addr, rcpts[0].ResultTries, r.life))
	wait(ctx, time.Millisecond+time.Duration(rnd.Int64N(int64(5*time.Millisecond))))
	if r.machine.dead() || !r.w.healed.Load() && rnd.IntN(3) == 0 {
		return errors.New("the table cannot be written")
	}
	r.w.oracle.final(rcpts)
	return nil
}

// final notes the final results of recipients.
func (o *oracle) final(rcpts []*queue.Recipient) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range rcpts {
		o.about(f.Addr, func(r *rcpt) {
			r.ended, r.delivered = true, r.delivered || f.Status == queue.Delivered
			o.w.trace.add("the final result for %s: %v", f.Addr, f.Status)
		})
	}
}

// givingUp notes that an operator ends a message. If it waits only for FinalResults, its
// results are given up.
func (o *oracle) givingUp(info *queue.MessageInfo) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range info.Recipients {
		o.about(r.Addr, func(r *rcpt) { r.givenUp = true })
	}
}

// checkResult returns what is wrong with the final results of a recipient.
func (o *oracle) checkResult(r *rcpt) (problems []string) {
	if o.results && r.state == acknowledged && !r.ended && !r.givenUp {
		problems = append(problems, "it has no final result")
	}
	if r.delivered && len(r.arrivals) == 0 {
		problems = append(problems, "its final result is delivered, and it did not arrive")
	}
	return problems
}
