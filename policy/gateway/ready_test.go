package gateway_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// After Ready, Addr has the port that the system has chosen, and the relay
// accepts mail.
func TestReady(t *testing.T) {
	r := newRelay(t)
	l := &gateway.Listener{Server: r.server(t, ""), Address: "127.0.0.1:0"}
	r.Listeners = []*gateway.Listener{l}
	if l.Addr() != nil {
		t.Errorf("address %v before Run", l.Addr())
	}
	select {
	case <-r.Ready():
		t.Fatal("ready before Run")
	default:
	}
	run(t, &r.Gateway)
	if a, is := l.Addr().(*net.TCPAddr); !is || a.Port == 0 {
		t.Fatalf("address %v", l.Addr())
	}
	smtptest.Talk(t, l.Addr().String(), envelope+"C: .\nS: 250\nC: QUIT\nS: 221\n")
	if err := r.Queue.Submit(t.Context(), &queue.Message{From: "a@example.com", Recipients: queue.Rcpt("b@example.com"), Content: queue.Bytes([]byte("Subject: x\r\n\r\n"))}); err != nil {
		t.Error(err)
	}
}

// A relay that cannot start is never ready.
func TestNotReady(t *testing.T) {
	r := newRelay(t)
	r.Queue = nil
	if err := r.Run(t.Context()); err == nil {
		t.Error("Run without a Queue")
	}
	select {
	case <-r.Ready():
		t.Error("ready")
	default:
	}
}

// A second Run is an error, and does not disturb the first one.
func TestRunTwice(t *testing.T) {
	r := newRelay(t)
	run(t, &r.Gateway)
	if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "Run was called before") {
		t.Errorf("second Run: %v", err)
	}
	r.mu.Lock()
	closed := len(r.closed)
	r.mu.Unlock()
	if closed > 0 {
		t.Error("the second Run has closed the store of the first one")
	}
	smtptest.TalkOn(t, r.dial(t), "S: 220\nC: QUIT\nS: 221\n")
}

// If the store is closed while the queue runs, Run ends with that error.
func TestStoreClosedWhileRunning(t *testing.T) {
	r := newRelay(t)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(context.Background()) }()
	<-r.Ready()
	if err := r.Queue.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, queue.ErrClosed) {
		t.Errorf("Run: %v", err)
	}
}
