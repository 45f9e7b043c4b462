package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// LiveSessions has the sessions of a server that was replaced and of the next one,
// and both keep their dialogue. A watch sees both.
func TestLiveSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		live := r.LiveSessions()
		live.KeepDialogue(4096) // before it runs
		stop := r.run(t)
		old := smtptest.TalkOn(t, r.dial(t), "S: 220 relay.example.com\n")
		lines, err := live.Watch(t.Context(), smtpserver.WatchFilter{})
		if err != nil {
			t.Fatal(err)
		}
		seen := make(chan string)
		go func() {
			text := ""
			for e := range lines {
				if text += string(rune(e.Kind)) + e.Data + "\n"; strings.Contains(text, "<NOOP new") {
					break
				}
			}
			seen <- text
		}()
		if err := r.Listeners[0].Replace(r.server(t, "next.example.com")); err != nil {
			t.Fatal(err)
		}
		next := smtptest.TalkOn(t, r.dial(t), "S: 220 next.example.com\n")
		smtptest.TalkOn(t, old, "C: NOOP old\nS: 250\n")
		smtptest.TalkOn(t, next, "C: NOOP new\nS: 250\n")
		if text := <-seen; !strings.Contains(text, ">220 next.example.com") || !strings.Contains(text, "<NOOP old") {
			t.Errorf("watched\n%s", text)
		}
		all := live.Sessions()
		if len(all) != 2 {
			t.Fatalf("%+v", all)
		}
		for i, banner := range []string{"220 relay.example.com", "220 next.example.com"} {
			text := fmt.Sprint(live.Dialogue(all[i].ID))
			if !strings.Contains(text, banner) {
				t.Errorf("the dialogue has no %q: %s", banner, text)
			}
		}
		if !live.EndSession(all[0].ID) {
			t.Error("the old session is not found")
		}
		smtptest.TalkOn(t, old, "S: 421\n").Close()
		synctest.Wait()
		if err := r.Listeners[0].Replace(r.server(t, "last.example.com")); err != nil { // forgets the first server
			t.Fatal(err)
		}
		if all := live.Sessions(); len(all) != 1 {
			t.Errorf("%+v", all)
		}
		smtptest.TalkOn(t, next, "C: QUIT\nS: 221\n").Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
