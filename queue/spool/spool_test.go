package spool

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/queuetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	queuetest.Test(t, queuetest.Config{
		Open: func(t *testing.T, dir string) queue.Store {
			s, err := Open(dir, &Options{SegmentSize: 1 << 20, Logger: testLogger(t)})
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			return s
		},
		Durable: true,
		OpenOn: func(t *testing.T, fs queuetest.FileSystem, dir string) queue.Store {
			s, err := Open(dir, &Options{SegmentSize: 256 << 10, LargeContent: 8 << 10, FileSystem: fs})
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			return s
		},
	})
}

// testLogger logs warnings and errors to the output of the test.
func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func TestCrash(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	queuetest.Crash(t, queuetest.Config{
		Open: func(t *testing.T, dir string) queue.Store {
			s, err := Open(dir, &Options{SegmentSize: 1 << 20, Logger: testLogger(t)})
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			return s
		},
		Durable: true,
	}, rounds)
}
