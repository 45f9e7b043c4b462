package live

import (
	"strconv"
	"time"
)

// A history is the last part of the dialogue of one session.
type history struct {
	lines []kept
	size  int // bytes of lines
	gone  int // lines that were dropped
}

// kept is an Event without the fields that all events of a session share.
type kept struct {
	time          time.Time
	sequence      int
	kind          byte
	data, context string
}

// keptSize is how much memory a line needs besides its text.
const keptSize = 72

func (k *kept) size() int { return keptSize + len(k.data) + len(k.context) }

// add adds a line, and drops old ones so that at most n bytes are kept.
func (h *history) add(e *Event, n int) {
	k := kept{e.Time, e.Sequence, e.Kind, e.Data, e.Context}
	h.lines = append(h.lines, k)
	h.size += k.size()
	for h.size > n && len(h.lines) > 0 {
		h.size -= h.lines[0].size()
		h.lines[0] = kept{}
		h.lines = h.lines[1:]
		h.gone++
	}
}

// events returns the lines in their order. The first says how many are missing.
func (h *history) events(e *Entry) []Event {
	if h == nil {
		return nil
	}
	i := e.info()
	all := make([]Event, 0, len(h.lines)+1)
	event := func(k *kept) Event {
		return Event{Time: k.time, Connector: i.Connector, Session: i.ID, Sequence: k.sequence,
			Local: i.Local, Remote: i.Remote, Kind: k.kind, Data: k.data, Context: k.context}
	}
	if h.gone > 0 {
		all = append(all, event(&kept{time: time.Now(), kind: '*', context: strconv.Itoa(h.gone) + " earlier lines are not kept"}))
	}
	for j := range h.lines {
		all = append(all, event(&h.lines[j]))
	}
	return all
}
