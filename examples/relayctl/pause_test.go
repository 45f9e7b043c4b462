package main

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// An operator pauses receiving and sending.
func TestPause(t *testing.T) {
	w := newWorld(t, nil)
	w.do("pause").want(2)
	w.do("pause", "all").want(2)
	w.do("continue", "sending").want(1, "not paused")
	w.do("pause", "receiving").want(4, "Pause receiving")
	w.do("pause", "receiving", "-yes", "-reason", "the queue moves").want(0, "done, 1 part")
	w.do("pause", "receiving", "-yes", "-reason", "the queue moves").want(1, "paused already")
	w.do("top", "-n", "1").want(0, "receiving is paused")
	smtptest.Talk(t, w.smtp, "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.com>\nS: 250\nC: RCPT TO:<b@example.net>\nS: 250\nC: DATA\nS: 354\nC: Subject: x\nC:\nC: .\nS: 451 4.3.2\nC: QUIT\nS: 221\n")
	w.do("continue", "receiving", "-yes", "-reason", "done").want(0, "Receive again: done")
	w.do("pause", "sending", "-yes", "-reason", "the network is repaired").want(0)
	if st := w.queue.State(); !st.Paused || st.Frozen {
		t.Errorf("%+v", st)
	}
	w.do("top", "-n", "1").want(0, "paused")
	w.do("continue", "sending", "-yes", "-reason", "done").want(0)
	if st := w.queue.State(); st.Paused || st.Frozen {
		t.Errorf("%+v", st)
	}
}
