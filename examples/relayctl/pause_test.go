package main

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// An operator pauses the receipt of mail and the deliveries.
func TestPause(t *testing.T) {
	w := newWorld(t, nil)
	w.do("pause").want(2)
	w.do("pause", "all").want(2)
	w.do("continue", "deliver").want(1, "not paused")
	w.do("pause", "receive").want(4, "Pause the receipt of mail")
	w.do("pause", "receive", "-yes", "-reason", "the queue moves").want(0, "done, 1 part")
	w.do("pause", "receive", "-yes", "-reason", "the queue moves").want(1, "paused already")
	w.do("top", "-n", "1").want(0, "the receipt of mail is paused")
	smtptest.Talk(t, w.smtp, "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.com>\nS: 250\nC: RCPT TO:<b@example.net>\nS: 250\nC: DATA\nS: 354\nC: Subject: x\nC:\nC: .\nS: 451 4.3.2\nC: QUIT\nS: 221\n")
	w.do("continue", "receive", "-yes", "-reason", "done").want(0, "Receive mail again: done")
	w.do("pause", "deliver", "-yes", "-reason", "the network is repaired").want(0)
	if st := w.queue.State(); !st.Paused || st.Frozen {
		t.Errorf("%+v", st)
	}
	w.do("top", "-n", "1").want(0, "paused")
	w.do("continue", "deliver", "-yes", "-reason", "done").want(0)
	if st := w.queue.State(); st.Paused || st.Frozen {
		t.Errorf("%+v", st)
	}
}
