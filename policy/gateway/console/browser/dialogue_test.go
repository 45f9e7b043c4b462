package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The page Dialogue shows the lines of a session as they come, as text, and says
// when the session has ended.
func TestDialogue(t *testing.T) {
	b := startBrowser(t)
	w := newWorld(t, t.TempDir())
	client := smtptest.TalkOn(t, w.dial(), "S: 220\nC: EHLO client.example\nS: 250\n")
	defer client.Close()
	b.open(w.login)
	b.open(w.console + "/sessions")
	status := b.load("watch", chromedp.Click(chromedp.CSS(`a[aria-label="Watch `+w.relay.LiveSessions().Sessions()[0].ID+`"]`)))
	shows := func(part string) {
		t.Helper()
		peers.Await(t, "the page shows "+part, func() bool { return strings.Contains(b.text(), part) })
	}
	shows("New lines are shown as they come.")
	shows("< EHLO client.example")
	smtptest.TalkOn(t, client, "C: NOOP <img src=x onerror=alert(1)>\nS: 250\nC: QUIT\nS: 221\n")
	shows("< NOOP <img src=x onerror=alert(1)>")
	shows("The session has ended.")
	if text := b.text(); status != 200 || strings.Count(text, "< EHLO client.example") != 1 {
		t.Errorf("status %d\n%s", status, text)
	}
	for _, f := range append(b.faults(), b.takeComplaints()...) {
		t.Error(f)
	}
}
