package sched

import "time"

// A trial is an attempt at a hop that has not answered since it was last dead. A
// silent host keeps a slot until a timeout is over, so trials have half of the
// slots at most.
//
// Half of these are free: they go to the hop that has waited longest. The
// others go to the hop that has waited least, and each costs a token. An answer
// gives the token back. New tokens come a little slower than silent hosts give
// slots back, so that there is a slot for each. A host that answers thus waits
// for one token, and not behind thousands that do not answer.

// silenceFirst is the assumed duration of a trial at a silent host until one was
// measured. It is the timeout of attempts that must hurry: when slots are scarce,
// trials must.
const silenceFirst = 10 * time.Second

// lately is how long a hop that was not tried yet has precedence for tokens.
const lately = 5 * time.Second

// maxTrials is the maximum number of slots of trials. freeTrials is the number
// of these that are free. maxOld is the maximum number of slots of trials while
// tokens go to probes and to hops that have waited long.
func (s *Scheduler) maxTrials() int  { return max(s.limits.Deliveries/2, 1) }
func (s *Scheduler) freeTrials() int { return max(s.maxTrials()/2, 1) }
func (s *Scheduler) maxOld() int     { return s.maxTrials() - s.maxTrials()/4 }

// bucket returns the most tokens, and the time in which as many new ones come. A
// silent host keeps its slot for s.silence. If hosts are silent for longer than
// that, the last quarter of the slots is taken too: more slowly, so that it
// lasts until s.silence has been learned.
func (s *Scheduler) bucket(now time.Time) (size int, period time.Duration) {
	slots := max(s.maxTrials()-s.freeTrials(), 1)
	size = max(slots/4, 2)
	silence := s.silence
	if s.trying > 0 {
		silence = max(silence, now.Sub(s.trialEnd))
	}
	period = silence * time.Duration(size) / time.Duration(max(slots-size, 1))
	if s.tokened > slots-size {
		period *= 4
	}
	return size, period
}

// nextTrial takes a part for a hop that has not answered.
func (s *Scheduler) nextTrial(now time.Time) *Part {
	for s.trying < s.maxTrials() && s.trialsReady() > 0 {
		if !s.scarce() {
			if p := s.begin(now, s.oldestTrial()); p != nil {
				return p
			}
			continue
		}
		h, at := s.newestTrial(now)
		switch {
		case h == nil:
			return nil
		case at.After(now):
			s.wakeAt(at)
			return nil
		case h.inflight > 0:
			h.single = true // one attempt must do until it has ended
			s.ring(h)
			continue
		}
		if p := s.begin(now, h); p != nil {
			s.holdToken(p, 1)
			s.addTokens(now, -1)
			return p
		}
	}
	return nil
}

// oldestTrial returns the hop for the next free slot. Hops that were not tried
// yet and hops to be probed alternate.
func (s *Scheduler) oldestTrial() *Hop {
	s.probeNext = !s.probeNext
	f, p := s.orders[fresh].first(), s.orders[probing].first()
	if p != nil && (f == nil || s.probeNext) {
		return p.rings[probing].first
	}
	return f.rings[fresh].first
}

// newestTrial returns the hop for the next token, and the time of that token. If
// no hop has become ready lately, half of the tokens and a quarter of the slots
// stay reserved for one that does.
func (s *Scheduler) newestTrial(now time.Time) (*Hop, time.Time) {
	size, _ := s.bucket(now)
	if c := s.orders[fresh].first(); c != nil {
		h := c.rings[fresh].last
		if now.Sub(h.ringAt) < lately {
			return h, s.tokenAt(now, 1)
		}
		if s.trying < s.maxOld() {
			return h, s.tokenAt(now, 1+size/2)
		}
		return nil, time.Time{}
	}
	if c := s.orders[probing].first(); c != nil && s.trying < s.maxOld() {
		return c.rings[probing].first, s.tokenAt(now, 1+size/2)
	}
	return nil, time.Time{}
}

// mayTry returns the number of trials that may begin now, at least.
func (s *Scheduler) mayTry(now time.Time) int {
	switch {
	case s.trying >= s.maxTrials() || s.trialsReady() == 0:
		return 0
	case !s.scarce():
		return min(s.freeTrials()-s.trying+s.tokened, s.maxTrials()-s.trying, s.trialsReady())
	}
	if h, at := s.newestTrial(now); h != nil && !at.After(now) {
		return 1
	}
	return 0
}

// trialDue returns the time of the next trial that waits for a token, or zero.
func (s *Scheduler) trialDue(now time.Time) time.Time {
	if s.scarce() && s.trying < s.maxTrials() {
		if h, at := s.newestTrial(now); h != nil {
			return at
		}
	}
	return time.Time{}
}

// scarce reports whether all free slots of trials are taken.
func (s *Scheduler) scarce() bool { return s.trying-s.tokened >= s.freeTrials() }

// hurry reports whether attempts must give up sooner, because slots are scarce.
func (s *Scheduler) hurry() bool { return s.scarce() || s.slots >= s.limits.Deliveries*3/4 }

// holdToken notes that an attempt holds a token, or does not hold it any more.
func (s *Scheduler) holdToken(p *Part, n int) {
	p.token = n > 0
	p.Hop.tokened += n
	if !p.Hop.answers {
		s.tokened += n
	}
}

// trialEnded notes the end of a trial. d is its duration.
func (s *Scheduler) trialEnded(now time.Time, d time.Duration, answered bool) {
	if answered {
		s.addTokens(now, 1)
		return
	}
	s.trialEnd = now
	s.silence += (min(max(d, time.Millisecond), 10*time.Minute) - s.silence) / 8
}

// tokenAt returns the time at which there are n tokens.
func (s *Scheduler) tokenAt(now time.Time, n int) time.Time {
	size, period := s.bucket(now)
	lack := float64(n) - s.tokensAt(now)
	if lack <= 0 {
		return now
	}
	return now.Add(time.Duration(lack/float64(size)*float64(period)) + 1)
}

// tokensAt returns the number of tokens. They come evenly.
func (s *Scheduler) tokensAt(now time.Time) float64 {
	size, period := s.bucket(now)
	return min(s.tokens+float64(size)*float64(now.Sub(s.tokensOf))/float64(period), float64(size))
}

// addTokens takes a token, or gives one back.
func (s *Scheduler) addTokens(now time.Time, n float64) {
	s.tokens, s.tokensOf = max(s.tokensAt(now)+n, 0), now
}
