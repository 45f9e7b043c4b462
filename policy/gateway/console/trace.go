package console

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// maxTrace is how many bytes of the content are read for the hosts that have
// handled a message.
const maxTrace = 256 << 10

// traceHop is a host that has handled a message, as its Received field says. The
// fields of other hosts may be forged.
type traceHop struct {
	From  string    `json:"from,omitempty" doc:"The host or client that this host got the message from."`
	By    string    `json:"by,omitempty" doc:"The host."`
	With  string    `json:"with,omitempty" doc:"The protocol."`
	For   string    `json:"for,omitempty" doc:"The recipient."`
	Time  time.Time `json:"time,omitzero"`
	Delay *float64  `json:"delaySeconds,omitempty" doc:"The time since the host before. It is negative if their clocks differ."`
}

// DelayText returns the delay for people.
func (h traceHop) DelayText() string {
	switch {
	case h.Delay == nil:
		return ""
	case *h.Delay < 0:
		return "clocks differ by " + formatAge(time.Duration(-*h.Delay*float64(time.Second)))
	case *h.Delay == 0:
		return "0 s"
	}
	return formatAge(time.Duration(*h.Delay * float64(time.Second)))
}

// trace returns the hosts that have handled a message, the first one first.
func (x *call) trace(id string) ([]traceHop, error) {
	m, err := x.console.Gateway.Queue.Store.Get(x.ctx(), id)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, nil // it has ended in the meantime
	}
	if err != nil {
		return nil, err
	}
	top := make([]byte, min(m.Content.Size(), maxTrace))
	n, err := m.Content.ReadAt(top, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	section, _, _ := bytes.Cut(top[:n], []byte("\r\n\r\n"))
	var all []traceHop
	for _, h := range header.TraceHops(slices.Concat(section, []byte("\r\n"))) {
		hop := traceHop{From: h.From, By: h.By, With: h.With, For: h.For, Time: h.Time}
		if h.HasDelay {
			s := h.Delay.Seconds()
			hop.Delay = &s
		}
		all = append(all, hop)
	}
	return all, nil
}
