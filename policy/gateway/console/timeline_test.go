package console

import (
	"path/filepath"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

// A message has a page before the tracking log has its first event, and with it
// its folder.
func TestTimelineOfAnEmptyLog(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		m := w.submit(mail("bob@down.example"))
		w.console.Gateway.Tracking = &tracking.Log{Dir: filepath.Join(t.TempDir(), "none")}
		var v messageView
		w.get("/messages/"+m.ID, &v)
		if v.ID != m.ID || len(v.Timeline) != 0 || !v.TimelineOK {
			t.Errorf("the message is %+v", v)
		}
	})
}
