package smtpserver

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A ContentBudget limits how many bytes of unfinished messages several servers
// together hold, in memory and in content files. Without it, a few clients that
// send large messages slowly could fill the disk.
//
// The content of a message counts from the first byte until the message was
// accepted by the Handler or refused, or until its session has ended. When a
// client sends more than there is room for, the budget ends the sessions that
// have sent their current message most slowly, on average since its DATA or
// first BDAT command. They get 421 4.3.1. Sessions that hold less than a
// sixteenth of the average come last, because to end them would free little.
// The budget never ends a session for a message whose end of data has arrived.
//
// The zero value is ready to use. A ContentBudget must not be copied. It is
// safe for concurrent use.
type ContentBudget struct {
	// Max is the largest number of bytes. No message can be longer. It must not
	// change after the first use. Default 256 MiB, which is seven messages of
	// the default of Limits.MessageSize. Negative means no limit.
	Max int64

	mu        sync.Mutex // guards what follows, and the fields of the shares
	used      int64
	receiving []*contentShare // of messages whose end of data has not arrived
}

const (
	defaultContent = 256 << 20
	smallShare     = 16 // a session that holds less than this part of the average is ended last
)

// A contentShare is what one message holds of a ContentBudget.
type contentShare struct {
	budget  *ContentBudget
	began   time.Time
	session interface{ stopReading() } // called with budget.mu locked

	bytes   int64
	index   int         // in budget.receiving, plus 1; 0 means that it is not there
	givenUp atomic.Bool // the session must end
}

// Used returns the number of bytes that unfinished messages hold.
func (b *ContentBudget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// max returns Max or its default.
func (b *ContentBudget) max() int64 {
	max := b.Max
	set(&max, defaultContent, noLimit)
	return max
}

// take counts n more bytes of a message. It returns false if the message was
// given up.
func (c *contentShare) take(n int64) bool {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.givenUp.Load() {
		return false
	}
	if c.index == 0 {
		b.receiving = append(b.receiving, c)
		c.index = len(b.receiving)
	}
	c.bytes += n
	b.used += n
	if b.used > b.max() {
		b.makeRoom()
	}
	return !c.givenUp.Load()
}

// complete notes that the end of data has arrived. From now on, the message is
// not given up. It returns false if that has happened already.
func (c *contentShare) complete() bool {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	c.budget.remove(c)
	return !c.givenUp.Load()
}

// release returns the bytes of a message. After that, stopReading is not called.
func (c *contentShare) release() {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	c.budget.remove(c)
	c.budget.used -= c.bytes
	c.bytes = 0
}

// remove removes a share from receiving. The caller holds mu.
func (b *ContentBudget) remove(c *contentShare) {
	if c.index == 0 {
		return
	}
	last := b.receiving[len(b.receiving)-1]
	b.receiving[c.index-1], last.index = last, c.index
	b.receiving[len(b.receiving)-1] = nil
	b.receiving = b.receiving[:len(b.receiving)-1]
	c.index = 0
}

// makeRoom gives up the slowest messages until there is room. It makes a little
// more room than necessary, so that it does not look at all messages again for
// each packet. The caller holds mu.
func (b *ContentBudget) makeRoom() {
	type candidate struct {
		share *contentShare
		small bool
		rate  float64
	}
	now, limit := time.Now(), b.max()
	var held int64
	for _, c := range b.receiving {
		held += c.bytes
	}
	all := make([]candidate, len(b.receiving))
	for i, c := range b.receiving {
		age := max(now.Sub(c.began), time.Microsecond)
		all[i] = candidate{c, c.bytes < held/int64(smallShare*len(all)), float64(c.bytes) / age.Seconds()}
	}
	slices.SortFunc(all, func(x, y candidate) int {
		if x.small != y.small {
			if x.small {
				return 1
			}
			return -1
		}
		return cmp.Compare(x.rate, y.rate)
	})
	spare := min(limit/256, 1<<20)
	for _, c := range all {
		if b.used <= limit-spare || b.used <= limit && c.small {
			return
		}
		b.giveUp(c.share)
	}
}

// giveUp ends the session of a message. The caller holds mu.
func (b *ContentBudget) giveUp(c *contentShare) {
	b.remove(c)
	b.used -= c.bytes
	c.bytes = 0
	c.givenUp.Store(true)
	c.session.stopReading()
}

// givenUp reports whether the ContentBudget has given up the message that the
// session receives. The session must then end.
func (s *Session) givenUp() bool { return s.intake != nil && s.intake.share.givenUp.Load() }

// stopReading ends the wait for a client whose message was given up. A session
// that does not wait asks givenUp before its next wait, after beginWait.
func (s *Session) stopReading() {
	s.mu.Lock()
	defer s.mu.Unlock()
	past := time.Unix(1, 0)
	switch s.wait.kind {
	case notWaiting:
		return
	case waitReadReplies:
		s.netConn.SetDeadline(past)
	default:
		s.netConn.SetReadDeadline(past)
	}
	s.interrupted = true
}

// endShort ends a session whose message was given up.
func (s *Session) endShort() error {
	s.refuse(&verdict{reply: refusal(421, 4, 3, 1, "Too little space for messages that arrive slowly, try again later"), by: "limits"})
	return errClosing
}
