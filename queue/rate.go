package queue

import "time"

// A rate counts events in the last minute.
type rate struct {
	counts [ratePeriods + 1]uint32 // by period; the periods that have passed are 0
	period int64                   // the number of the newest period
}

const (
	ratePeriods = 6                // in a minute
	ratePeriod  = 10 * time.Second // the length of one
)

// add counts n events.
func (r *rate) add(now time.Time, n int) {
	r.advance(now)
	r.counts[r.period%int64(len(r.counts))] += uint32(n)
}

// advance begins a new period if the newest one is over.
func (r *rate) advance(now time.Time) {
	p := now.Unix() / int64(ratePeriod/time.Second)
	for range min(p-r.period, int64(len(r.counts))) {
		r.period++
		r.counts[r.period%int64(len(r.counts))] = 0
	}
	r.period = max(r.period, p)
}

// perMinute returns the number of events in the last minute. Of the period that
// began more than a minute ago, it counts the part that is left.
func (r rate) perMinute(now time.Time) float64 {
	r.advance(now)
	begun := time.Unix(r.period*int64(ratePeriod/time.Second), 0)
	left := 1 - min(max(float64(now.Sub(begun))/float64(ratePeriod), 0), 1)
	sum := 0.0
	for i := range int64(len(r.counts)) {
		n := float64(r.counts[(r.period-i)%int64(len(r.counts))])
		if i == ratePeriods {
			n *= left
		}
		sum += n
	}
	return sum
}
