package gateway_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// After Replace, existing sessions stay with the old server, and no connection
// is refused.
func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		early := r.Listeners[0]
		early.Replace(r.server(t, "zero.example.com")) // before Run
		stop := r.run(t)
		old := smtptest.TalkOn(t, r.dial(t), "S: 220 zero.example.com\n")
		for i := range 5 {
			var clients sync.WaitGroup
			for range 20 {
				clients.Go(func() { smtptest.TalkOn(t, r.dial(t), "S: 220\nC: QUIT\nS: 221\n").Close() })
			}
			r.Listeners[0].Replace(r.server(t, fmt.Sprintf("mx%d.example.com", i)))
			clients.Wait()
		}
		smtptest.TalkOn(t, r.dial(t), "S: 220 mx4.example.com\nC: QUIT\nS: 221\n").Close()
		smtptest.TalkOn(t, old, "C: EHLO client.example\nS: 250 zero.example.com\nC: QUIT\nS: 221\n").Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		r.Listeners[0].Replace(r.server(t, "late.example.com")) // has no effect
	})
}

// Replace refuses a server that cannot serve, and the relay continues.
func TestReplaceByInvalidServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		listener := r.Listeners[0]
		insecure := r.server(t, "insecure.example.com")
		insecure.TLSMode = smtpserver.TLSRequired
		bad := map[string]*smtpserver.Server{"the Server is nil": nil, "no Handler": {}, "TLSMode is TLSRequired, but TLSConfig is nil": insecure}
		for want, srv := range bad {
			if err := listener.Replace(srv); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("before it runs: %v, want %q", err, want)
			}
		}
		stop := r.run(t)
		smtptest.TalkOn(t, r.dial(t), "S: 220 relay.example.com\nC: QUIT\nS: 221\n").Close()
		bad["used before"] = listener.Server
		next := r.server(t, "next.example.com")
		for range 2 { // the same server
			if err := listener.Replace(next); err != nil {
				t.Error(err)
			}
		}
		for want, srv := range bad {
			if err := listener.Replace(srv); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		smtptest.TalkOn(t, r.dial(t), "S: 220 next.example.com\nC: QUIT\nS: 221\n").Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// The sessions of a server that was replaced do not stay for ever: its limits
// are counted beside those of the next one.
func TestReplacedSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		stop := r.run(t)
		idle, busy := r.dial(t), r.dial(t)
		smtptest.TalkOn(t, idle, "S: 220\nC: NOOP\nS: 250\n")
		smtptest.TalkOn(t, busy, envelope)
		if err := r.Listeners[0].Replace(r.server(t, "next.example.com")); err != nil {
			t.Fatal(err)
		}
		for range 9 {
			time.Sleep(time.Minute)
			smtptest.TalkOn(t, idle, "C: NOOP\nS: 250\n")
			smtptest.TalkOn(t, busy, "C: "+strings.Repeat("x", 30000)+"\n")
		}
		time.Sleep(time.Minute)
		smtptest.TalkOn(t, idle, "S: 421 4.3.2\nEOF\n").Close()
		smtptest.TalkOn(t, busy, "C: .\nS: 250\nS: 421\nEOF\n").Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTracking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, dir := newRelay(t), t.TempDir()
		r.Tracking = &tracking.Log{Dir: dir}
		stop := r.run(t)
		smtptest.TalkOn(t, r.dial(t), envelope+"C: .\nS: 250\nC: QUIT\nS: 221\n").Close()
		synctest.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		events := ""
		for e, err := range tracking.Search(dir, tracking.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			events += e.Event + " "
		}
		if events != "RECEIVE SEND " {
			t.Errorf("events: %s", events)
		}
	})
	synctest.Test(t, func(t *testing.T) { // mail is still delivered
		r, dir := newRelay(t), filepath.Join(t.TempDir(), "file")
		r.Tracking = &tracking.Log{Dir: dir}
		stop := r.run(t)
		synctest.Wait()
		if err := os.WriteFile(dir, nil, 0o600); err != nil { // after the check at the start
			t.Fatal(err)
		}
		for range 2 {
			smtptest.TalkOn(t, r.dial(t), envelope+"C: .\nS: 250\nC: QUIT\nS: 221\n").Close()
			synctest.Wait()
		}
		if err := stop(); err != nil || len(r.delivered) != 2 || !strings.Contains(r.logged(), "the message tracking log cannot be written") {
			t.Errorf("%v; delivered %v; log:\n%s", err, r.delivered, r.logged())
		}
	})
}

// Abort cancels attempts at once, before the shutdown and during it. The messages
// stay in the store.
func TestAbort(t *testing.T) {
	for _, during := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRelay(t)
			r.slow = time.Hour
			stop := r.run(t)
			synctest.Wait()
			m := &queue.Message{Recipients: queue.Rcpt("bob@example.com"), Content: queue.String("Subject: x\r\n\r\n")}
			if err := r.Queue.Submit(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			began := time.Now()
			if during {
				time.AfterFunc(time.Second, r.Abort)
				began = began.Add(time.Second)
			} else {
				r.Abort()
				synctest.Wait()
			}
			if err := stop(); err != nil || time.Since(began) != 0 {
				t.Errorf("during=%v: %v after %v", during, err, time.Since(began))
			}
			r.Abort() // has no effect any more
			if kept, err := r.Queue.Message(t.Context(), m.ID); err != nil || kept.Recipients[0].Status != queue.Waiting {
				t.Errorf("the message is no longer in the store: %+v, %v", kept, err)
			}
		})
	}
}
