package tracking

import (
	"bytes"
	"context"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Limits of Timeline.
const (
	maxTimeline  = 5000 // entries
	maxRelated   = 32   // messages
	maxGenerated = 4    // times that the log is read
)

// Timeline returns all entries of the message with this ID in the queue, and of the
// messages that are related to it by the column reference: the reports about it, the
// copies that were resubmitted, the message that it is a copy of. The oldest entry
// is first.
//
// A timeline has at most 5000 entries of 32 messages. If there are more, Complete is
// not set. Timeline reads the log at most four times. If ctx ends, it returns the
// error of ctx.
func Timeline(ctx context.Context, dir, id string) (*Page, error) {
	if err := queue.ValidID(id); err != nil {
		return nil, fmt.Errorf("tracking: %w", err)
	}
	files, err := logFiles(dir, Filter{}.Since)
	if err != nil {
		return nil, fmt.Errorf("tracking: %w", err)
	}
	t := timeline{ids: [][]byte{[]byte(id)}}
	examined := int64(0)
	for range maxGenerated {
		t.page, t.bytes = Page{Complete: true}, 0
		before := len(t.ids)
		w := walk{files: files, visit: t.visit}
		_, complete, err := w.run(ctx)
		if err != nil {
			return nil, err
		}
		examined += t.page.Examined
		t.page.Examined = examined
		if len(t.ids) == before || !complete {
			return &t.page, nil
		}
	}
	t.page.Complete = false // the last reading may have found another message
	return &t.page, nil
}

// A timeline collects the entries of related messages.
type timeline struct {
	ids   [][]byte // of the messages
	page  Page
	bytes int64 // of the lines of the entries
}

// visit adds the entry of a line, if it belongs to one of the messages.
func (t *timeline) visit(line []byte, size int64, _ position) bool {
	t.page.Examined += size
	if len(line) == 0 || line[0] == '#' || !t.mentions(line) {
		return true
	}
	e, err := parseLine(line)
	if err != nil {
		t.page.Damaged++
		return true
	}
	reference := e.Columns["reference"]
	if !t.has(e.ID) && !t.has(reference) {
		return true
	}
	t.add(e.ID)
	t.add(reference)
	t.page.Entries = append(t.page.Entries, e)
	if t.bytes += size; len(t.page.Entries) >= maxTimeline || t.bytes >= maxPageBytes {
		t.page.Complete = false
		return false
	}
	return true
}

// mentions reports whether a line contains one of the IDs.
func (t *timeline) mentions(line []byte) bool {
	for _, id := range t.ids {
		if bytes.Contains(line, id) {
			return true
		}
	}
	return false
}

func (t *timeline) has(id string) bool {
	for _, other := range t.ids {
		if string(other) == id {
			return true
		}
	}
	return false
}

// add adds an ID. The column reference of another program may have other text.
func (t *timeline) add(id string) {
	switch {
	case id == "" || queue.ValidID(id) != nil || t.has(id):
	case len(t.ids) >= maxRelated:
		t.page.Complete = false
	default:
		t.ids = append(t.ids, []byte(id))
	}
}
