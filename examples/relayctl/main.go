// Command relayctl shows and controls a running relay through the HTTP API of
// its console (policy/gateway/console):
//
//	relayctl queues                                   list the next hops
//	relayctl messages -recipient '*@example.net'      search the queue
//	relayctl retry queue example.net -reason "mx is back" -yes
//	relayctl track -sender alice@example.com          search the tracking log
//	relayctl top                                      a live overview
//
// "relayctl help" lists all commands, and "relayctl help COMMAND" explains one.
//
// # Connection
//
// The console is at -url (or RELAYCTL_URL), by default http://127.0.0.1:8025. It
// needs a token: in the file -token-file (or RELAYCTL_TOKEN_FILE), in
// RELAYCTL_TOKEN, or in RELAYCTL_URL, in the form that the relay prints at start.
// It is never an argument, because other users can read the arguments of a
// process. With -socket (or RELAYCTL_SOCKET), relayctl connects to the Unix
// socket of the console, which needs no token.
//
// # Changes
//
// A change needs -yes, and a -reason for the audit log. Without -yes, relayctl
// shows what would change and how many messages that concerns. On a terminal it
// then asks; otherwise it changes nothing.
//
// # Output
//
// Output is for people: text from strangers cannot control the terminal. With
// -json it is the JSON of the API: one document, or one per line if a command
// reads several pages, messages or events.
//
// The exit status is 0 if the command did what it should, 1 after an error or a
// refusal, 2 if the arguments are wrong, 3 if nothing was found, and 4 if a
// change was not confirmed, so nothing has changed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], terminalOf(os.Stdin, os.Stdout, os.Stderr), os.Getenv)
	stop()
	os.Exit(status)
}

// The exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNothing     = 3
	exitUnconfirmed = 4
)

// A usageError is a mistake in the arguments.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func wrongUsage(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// A nothingError says what was not found.
type nothingError struct{ text string }

func (e *nothingError) Error() string { return e.text }

// errUnconfirmed is the result of a change that was not confirmed.
var errUnconfirmed = errors.New("nothing has changed: confirm with -yes and a -reason")

// A terminal is where a command reads and writes. It may also be a pipe or a file.
type terminal struct {
	in          io.Reader
	out, err    io.Writer
	interactive bool // a person can read and answer questions
	screen      bool // out is a terminal
}

func terminalOf(in, out, errors *os.File) *terminal {
	screen := isTerminal(out)
	return &terminal{in: in, out: out, err: errors, interactive: isTerminal(in) && isTerminal(errors), screen: screen}
}

// isTerminal reports whether a file is a terminal, or another device of
// characters, for example /dev/null: it gives no answers, and what is written to
// it is lost.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// run executes a command and returns the exit status.
func run(ctx context.Context, args []string, t *terminal, getenv func(string) string) int {
	err := execute(ctx, args, t, getenv)
	var usage *usageError
	var nothing *nothingError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintln(t.err, "relayctl:", inert(err.Error()))
		return exitUsage
	case errors.As(err, &nothing):
		fmt.Fprintln(t.err, "relayctl:", inert(err.Error()))
		return exitNothing
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	fmt.Fprintln(t.err, "relayctl:", inert(err.Error()))
	if errors.Is(err, errUnconfirmed) {
		return exitUnconfirmed
	}
	return exitFailed
}
