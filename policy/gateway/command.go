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

// Main does the work of the main function of a relay program. Call it after the
// program has parsed its flags. Main calls build to make the relay, and runs
// the relay until the process gets SIGINT or SIGTERM. The logger that build
// gets writes to stderr.
//
// args are the command line arguments after the flags. They must be empty,
// because a relay takes only flags. When Main fails, it writes one line to
// stderr that begins with name. It returns the exit status: 0 for success, 1 if
// Run returned an error, 2 if args is not empty or build returned an error.
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
