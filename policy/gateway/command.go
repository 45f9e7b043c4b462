package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// A Runner runs until its context ends. A [Gateway] is one.
type Runner interface {
	Run(ctx context.Context) error
}

// Main does the work of the main function of a relay program. Call it after the
// program has parsed its flags. Main calls build to make the relay, and runs
// the relay until the process gets SIGINT or SIGTERM. A second signal aborts
// the shutdown: Main calls the method Abort of the Runner if it has one, as a
// Gateway has ([Gateway.Abort]). Main then returns within a second, with status
// 1 if Run has not returned by then. Signals within 200 ms of the first count as
// the same one, because timeout(1) and others send a signal to the process and
// to its group. The logger that build gets writes to stderr, at slog.LevelInfo.
// [Gateway.Levels] changes the level of a part.
//
// args are the command line arguments after the flags. They must be empty,
// because a relay takes only flags. When Main fails, it writes one line to
// stderr that begins with name. It returns the exit status: 0 for success, 1 if
// Run returned an error, 2 if args is not empty or build returned an error.
//
//	os.Exit(gateway.Main("relay", flag.Args(), os.Stderr, newRelay))
func Main(name string, args []string, stderr io.Writer, build func(*slog.Logger) (Runner, error)) int {
	// Without a receiver, these signals end the process. The channel remains until the
	// process ends.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGPIPE)
	relay, err := start(args, stderr, build)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := runUntil(signals, relay); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// abortTime is how long Run may take after the second signal.
const abortTime = 900 * time.Millisecond

// sameSignal is the time after the first signal in which another one does not
// abort the shutdown.
const sameSignal = 200 * time.Millisecond

// runUntil runs a relay. The first signal ends its context, and the second aborts
// the shutdown.
func runUntil(signals <-chan os.Signal, relay Runner) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	var first time.Time
	var overdue <-chan time.Time
	for {
		select {
		case err := <-ended:
			return err
		case <-overdue:
			return errors.New("the shutdown was aborted, and did not end in time")
		case <-signals:
		}
		switch a, ok := relay.(interface{ Abort() }); {
		case first.IsZero():
			first = time.Now()
			stop()
			continue
		case time.Since(first) < sameSignal:
			continue
		case ok:
			a.Abort()
		}
		if overdue == nil {
			overdue = time.After(abortTime)
		}
	}
}

func start(args []string, stderr io.Writer, build func(*slog.Logger) (Runner, error)) (Runner, error) {
	if len(args) > 0 {
		return nil, fmt.Errorf("%q is not a flag", strings.Join(args, " "))
	}
	return build(newLogger(stderr))
}
