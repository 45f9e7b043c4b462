// Command quickstart is a mail relay in a world of its own, in one process:
// an organization's mail server, a relay in front of it with its queue on
// disk, and an internet behind a DNS server.
//
// It holds a few SMTP sessions with the relay, prints them and what became of
// each message, and ends. With -listen it stays up for a client of yours.
// relay.go is the part to read.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// The world.
const (
	organizationDomain = "example.com"
	internetDomain     = "example.net"
	relayName          = "relay.example.com"
	account            = "alice"
	accountPassword    = "wonderland"
)

func main() {
	listen := flag.String("listen", "", "`address` to stay up at, for a client of your own, as 127.0.0.1:2525")
	mailDir := flag.String("mail", "", "`folder` for what the stand-ins receive, as .eml files; empty prints it")
	spoolDir := flag.String("spool", "", "`folder` that keeps the queue between runs; empty is a temporary one")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "quickstart: %q is not a flag\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *mailDir, *spoolDir, &printer{w: os.Stdout}); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}
