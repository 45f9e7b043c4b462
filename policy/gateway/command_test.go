package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

// A runner is a relay that runs a function.
type runner func(ctx context.Context) error

func (r runner) Run(ctx context.Context) error { return r(ctx) }

func TestMainFunction(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		build error
		run   error
		want  int
		says  string
	}{
		{"ends well", nil, nil, nil, 0, ""},
		{"an argument", []string{"oops", "-x"}, nil, nil, 2, "relay: \"oops -x\" is not a flag\n"},
		{"wrong settings", nil, errors.New("-listen: no port"), nil, 2, "relay: -listen: no port\n"},
		{"run fails", nil, nil, errors.New("no disk"), 1, "relay: no disk\n"},
	} {
		var stderr bytes.Buffer
		got := gateway.Main("relay", c.args, &stderr, func(*slog.Logger) (gateway.Runner, error) {
			return runner(func(context.Context) error { return c.run }), c.build
		})
		if got != c.want || stderr.String() != c.says {
			t.Errorf("%s: status %d, %q; want %d, %q", c.name, got, stderr.String(), c.want, c.says)
		}
	}
}

// SIGTERM ends the relay's context.
func TestMainFunctionEndsOnSignal(t *testing.T) {
	var stderr bytes.Buffer
	status := gateway.Main("relay", nil, &stderr, func(*slog.Logger) (gateway.Runner, error) {
		return runner(func(ctx context.Context) error {
			self, err := os.FindProcess(os.Getpid())
			if err != nil {
				return err
			}
			if err := self.Signal(syscall.SIGTERM); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		}), nil
	})
	if status != 0 || stderr.Len() != 0 {
		t.Errorf("status %d, %q", status, stderr.String())
	}
}

// A second SIGTERM aborts the shutdown. Main does not wait long for a relay that
// does not end.
func TestMainFunctionEndsOnSecondSignal(t *testing.T) {
	var stderr bytes.Buffer
	stuck := make(chan struct{})
	status := gateway.Main("relay", nil, &stderr, func(*slog.Logger) (gateway.Runner, error) {
		return &stuckRelay{stuck: stuck}, nil
	})
	close(stuck)
	if status != 1 || stderr.String() != "relay: the shutdown was aborted, and did not end in time\n" {
		t.Errorf("status %d, %q", status, stderr.String())
	}
}

// A stuckRelay ends only when stuck is closed. It sends the process two signals.
type stuckRelay struct {
	stuck chan struct{}
}

func (s *stuckRelay) Run(ctx context.Context) error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	self.Signal(syscall.SIGTERM)
	<-ctx.Done()
	time.Sleep(200 * time.Millisecond) // an earlier signal counts as the first one
	self.Signal(syscall.SIGTERM)
	<-s.stuck
	return nil
}
