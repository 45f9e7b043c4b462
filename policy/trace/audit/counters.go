package audit

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Counters are the counters of one agent at one event.
type Counters struct {
	Agent, Event  string
	Calls         int64
	Refused       int64         // 4xx and 5xx replies, closed connections and discarded messages
	Failed        int64         // other errors
	TotalDuration time.Duration // of all calls
	MaxDuration   time.Duration // of the longest call
}

type counter struct {
	agent, event                          string
	calls, refused, failed, took, longest atomic.Int64
}

func (c *counter) add(took time.Duration, err error) {
	c.calls.Add(1)
	c.took.Add(int64(took))
	for old := c.longest.Load(); int64(took) > old && !c.longest.CompareAndSwap(old, int64(took)); old = c.longest.Load() {
	}
	if err == nil || errors.Is(err, smtpserver.ErrAccept) {
		return
	}
	var e *smtp.SMTPError
	switch {
	case errors.As(err, &e), errors.Is(err, smtpserver.ErrDiscard), errors.Is(err, smtpserver.ErrClose):
		c.refused.Add(1)
	default:
		c.failed.Add(1)
	}
}

// counter returns the counter of an agent and event. Agents with the same name
// share it.
func (a *Audit) counter(agent, event string) *counter {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.counters {
		if c.agent == agent && c.event == event {
			return c
		}
	}
	c := &counter{agent: agent, event: event}
	a.counters = append(a.counters, c)
	return c
}

// Counters returns the counters of all agents at all of their events, in the order
// of the calls of Wrap and Handler. It is safe for concurrent use.
func (a *Audit) Counters() []Counters {
	a.mu.Lock()
	defer a.mu.Unlock()
	cs := make([]Counters, len(a.counters))
	for i, c := range a.counters {
		cs[i] = Counters{
			Agent: c.agent, Event: c.event, Calls: c.calls.Load(), Refused: c.refused.Load(), Failed: c.failed.Load(),
			TotalDuration: time.Duration(c.took.Load()), MaxDuration: time.Duration(c.longest.Load()),
		}
	}
	return cs
}
