// Command quickstart shows a mail relay at work. One process runs an
// organization's mail server, a relay in front of it with its queue on disk, a
// mail server of the internet, and a DNS server.
//
//	go run ./examples/quickstart
//
// It opens a few SMTP sessions to the relay, prints them and the result of each
// message, and ends. With -listen it keeps running for your own client, and with
// -console it keeps running so that you can see the relay in a browser. Read
// relay.go first: it assembles the relay.
package main

import (
	"flag"
	"log/slog"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

// The domains, the relay and the one account.
const (
	organizationDomain = "example.com"
	internetDomain     = "example.net"
	downDomain         = "example.org" // its mail server is down
	relayName          = "relay.example.com"
	account            = "alice"
	accountPassword    = "wonderland"
)

func main() {
	q := quickstart{out: &printer{w: os.Stdout}, url: make(chan string, 1)}
	flag.StringVar(&q.listen, "listen", "", "`address` of the relay, as 127.0.0.1:2525: keep running for your own client;\ndefault: run the demo and end")
	flag.StringVar(&q.mailDir, "mail", "", "`folder` for the mail that the two mail servers receive, as .eml files; default: print it")
	flag.StringVar(&q.spoolDir, "spool", "", "`folder` that keeps the queue between runs; default: a temporary folder")
	q.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("quickstart", flag.Args(), os.Stderr, func(*slog.Logger) (gateway.Runner, error) {
		return &q, nil
	}))
}
