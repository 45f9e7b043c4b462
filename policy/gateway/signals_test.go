package gateway

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// timeout(1) sends a signal to the process and to its group. The process gets it
// twice, and must still finish its sessions and deliveries. A later signal aborts.
func TestSameSignalTwice(t *testing.T) {
	for _, again := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			signals := make(chan os.Signal, 2)
			relay := &slowRelay{}
			ended := make(chan error)
			go func() { ended <- runUntil(signals, relay) }()
			signals <- syscall.SIGTERM
			signals <- syscall.SIGTERM
			time.Sleep(sameSignal)
			if again {
				signals <- syscall.SIGTERM
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if relay.aborted != again {
				t.Errorf("a signal after %v: %t, aborted: %t", sameSignal, again, relay.aborted)
			}
		})
	}
}

// A slowRelay needs half a second for its shutdown.
type slowRelay struct{ aborted bool }

func (r *slowRelay) Run(ctx context.Context) error {
	<-ctx.Done()
	time.Sleep(time.Second / 2)
	return nil
}

func (r *slowRelay) Abort() { r.aborted = true }
