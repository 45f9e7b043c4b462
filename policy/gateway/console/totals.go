package console

import (
	"context"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// totals are the numbers that a page shows live.
type totals struct {
	Time        time.Time `json:"time" doc:"When the messages were counted."`
	Messages    int       `json:"messages" doc:"Messages that are ready, active, or wait for a retry or for their release."`
	Bytes       int64     `json:"bytes" doc:"The size of the contents of all messages."`
	Oldest      time.Time `json:"oldest,omitzero" doc:"The time of receipt of the oldest message that is ready, active or waiting for a retry."`
	Active      int       `json:"active" doc:"Messages in memory, to be delivered."`
	Waiting     int       `json:"waiting" doc:"Messages that wait for a retry."`
	Suspended   int       `json:"suspended" doc:"Messages that an operator has suspended."`
	Poison      int       `json:"poison" doc:"Poison messages."`
	BadMail     int       `json:"badMail" doc:"Messages that can be neither delivered nor reported."`
	Queues      int       `json:"queues" doc:"Next hops with mail or a state."`
	Unreachable int       `json:"queuesInRetry" doc:"Next hops that could not be reached."`
	Accepted    int64     `json:"accepted" doc:"Messages that were enqueued since the start."`
	Delivered   int64     `json:"delivered" doc:"Recipients that were delivered since the start."`
	Deferred    int64     `json:"deferred" doc:"Attempts for recipients that were deferred since the start."`
	Failed      int64     `json:"failed" doc:"Recipients that failed or expired since the start."`
	RateIn      float64   `json:"acceptedPerSecond" doc:"Messages that were enqueued per second, in the last minute."`
	RateOut     float64   `json:"deliveredPerSecond" doc:"Recipients that were delivered per second, in the last minute."`
	Free        int64     `json:"freeBytes" doc:"Free bytes on the disk of the store. -1 if that is not known."`
}

// sampleAge is how long the totals are used again, so that many pages and streams
// cost as much as one. rateTime is the time over which rates are measured.
const (
	sampleAge = 2 * time.Second
	rateTime  = time.Minute
)

// A sampler reads the totals.
type sampler struct {
	mu    sync.Mutex // guards the fields below; held while the totals are read
	last  *totals
	taken time.Time // when last was taken
	past  []sampled // the counters of the last minute, the oldest first
}

// sampled are the counters at one time.
type sampled struct {
	at      time.Time
	in, out int64
}

// get returns the totals, which are at most sampleAge old.
func (s *sampler) get(ctx context.Context, q *queue.Queue) (*totals, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.last != nil && now.Sub(s.taken) < sampleAge {
		return s.last, nil
	}
	sum, err := q.Totals(ctx)
	if err != nil {
		return nil, err
	}
	t := totalsOf(sum, q.Counters())
	t.Free = -1
	if r, is := q.Store.(queue.StoreReporter); is {
		t.Free = r.StoreStats().Free
	}
	s.rates(now, t)
	s.last, s.taken = t, now
	return t, nil
}

func totalsOf(sum queue.Totals, c queue.Counters) *totals {
	m := sum.Messages
	return &totals{
		Time: sum.Time, Bytes: sum.Bytes, Oldest: sum.Oldest,
		Messages: m[queue.MessageReady] + m[queue.MessageActive] + m[queue.MessageRetry] + m[queue.MessageHeld],
		Active:   m[queue.MessageActive], Waiting: m[queue.MessageRetry],
		Suspended: m[queue.MessageSuspended], Poison: m[queue.MessagePoison], BadMail: m[queue.MessageBad],
		Queues:      sum.Hops[queue.QueueReady] + sum.Hops[queue.QueueActive] + sum.Hops[queue.QueueRetry] + sum.Hops[queue.QueueConnecting] + sum.Hops[queue.QueueSuspended] + sum.Hops[queue.QueueScheduled],
		Unreachable: sum.Hops[queue.QueueRetry] + sum.Hops[queue.QueueConnecting],
		Accepted:    c.Enqueued, Delivered: c.Recipients["delivered"], Deferred: c.Recipients["deferred"],
		Failed: c.Recipients["failed"] + c.Recipients["expired"],
	}
}

// rates sets the rates: the change of the counters since the oldest sample of the
// last minute.
func (s *sampler) rates(now time.Time, t *totals) {
	for len(s.past) > 1 && now.Sub(s.past[1].at) >= rateTime {
		s.past = s.past[1:]
	}
	if len(s.past) > 0 {
		first := s.past[0]
		if took := now.Sub(first.at).Seconds(); took > 0 {
			t.RateIn, t.RateOut = float64(t.Accepted-first.in)/took, float64(t.Delivered-first.out)/took
		}
	}
	s.past = append(s.past, sampled{now, t.Accepted, t.Delivered})
}
