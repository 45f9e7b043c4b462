package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// A Runner runs until its context ends. A [Gateway] is one.
type Runner interface {
	Run(ctx context.Context) error
}

// Main is the main function of a command that is a relay, after the command
// has read its flags. It builds the relay and runs it until the process gets
// SIGINT or SIGTERM. The logger that build gets writes to stderr.
//
// args are the command line arguments that are left after the flags; a relay
// takes none. When Main fails it writes one line that begins with name to
// stderr. It returns the exit status: 0, 1 for an error of Run, 2 for one of
// the arguments or of build.
//
//	os.Exit(gateway.Main("relay", flag.Args(), os.Stderr, newRelay))
func Main(name string, args []string, stderr io.Writer, build func(*slog.Logger) (Runner, error)) int {
	relay, err := start(args, stderr, build)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := relay.Run(ctx); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

func start(args []string, stderr io.Writer, build func(*slog.Logger) (Runner, error)) (Runner, error) {
	if len(args) > 0 {
		return nil, fmt.Errorf("%q is not a flag", strings.Join(args, " "))
	}
	return build(slog.New(slog.NewTextHandler(stderr, nil)))
}
