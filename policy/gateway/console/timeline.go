package console

import (
	"errors"
	"io/fs"
	"net/http"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

// timelineView is what the message tracking log has about one message.
type timelineView struct {
	ID       string        `json:"id" doc:"The ID of the message."`
	Entries  []trackingRow `json:"entries" doc:"What happened to the message and to those made of it, the oldest first."`
	Complete bool          `json:"complete" doc:"False if there are more entries, or if the relay has no tracking log."`
	InQueue  bool          `json:"inQueue" doc:"Whether the message is in the queue."`
}

func showTimeline(x *call, p messageParams) (*timelineView, error) {
	if err := queue.ValidID(p.ID); err != nil {
		return nil, errNoEntries
	}
	v, err := x.timeline(p.ID)
	if err != nil {
		return nil, err
	}
	switch _, err = x.console.Gateway.Queue.Message(x.ctx(), p.ID); {
	case err == nil:
		v.InQueue = true
	case !errors.Is(err, queue.ErrNotFound):
		return nil, err
	case len(v.Entries) == 0:
		return nil, errNoEntries
	}
	return v, nil
}

// errNoEntries says that nothing is known of a message.
var errNoEntries = refuse(http.StatusNotFound, "The message tracking log has no message with this ID.")

// timeline returns the entries of the tracking log about a message, if the relay
// has such a log.
func (x *call) timeline(id string) (*timelineView, error) {
	v := &timelineView{ID: id, Entries: []trackingRow{}}
	log := x.console.Gateway.Tracking
	if log == nil {
		return v, nil
	}
	page, err := tracking.Timeline(x.ctx(), log.Dir, id)
	if errors.Is(err, fs.ErrNotExist) { // the log creates its folder for the first event
		v.Complete = true
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	v.Complete = page.Complete
	for _, e := range page.Entries {
		v.Entries = append(v.Entries, x.trackingRowOf(e))
	}
	return v, nil
}
