package postgres

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(processURL) != "" {
		if err := runProcess(); err != nil {
			fmt.Fprintln(os.Stderr, "the child process:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
