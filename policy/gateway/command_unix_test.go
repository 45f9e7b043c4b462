//go:build unix

package gateway_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

// A relay continues after SIGHUP, and when the reader of its log has ended.
func TestMainFunctionContinues(t *testing.T) {
	const child = "BRIDGEHEAD_TEST_MAIN"
	if os.Getenv(child) != "" {
		os.Exit(gateway.Main("relay", nil, os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
			return runner(func(context.Context) error {
				log.Info("a line without a reader")
				return syscall.Kill(os.Getpid(), syscall.SIGHUP)
			}), nil
		}))
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	defer writer.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMainFunctionContinues$")
	cmd.Env, cmd.Stderr = append(os.Environ(), child+"=1"), writer
	if err := cmd.Run(); err != nil {
		t.Errorf("the process has ended with %v", err)
	}
}
