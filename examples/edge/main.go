// Command edge is the Edge Transport in front of an existing organization:
// the only server that speaks with the internet, with four connectors.
//
//   - from the internet (receive): everybody may send to the accepted domains,
//     past the filters;
//   - from the organization (receive): its servers may send to everybody. They
//     are told by address (externally secured) or by account and password
//     over TLS (basic authentication);
//   - to the internet (send): * at cost 10, by DNS;
//   - to the organization (send): --, all accepted domains, by smart hosts
//     among which the mail is balanced.
//
// As in
//
//	edge -config /etc/bridgehead/edge.yaml
//
//	the internet                 edge                      the organization
//
//	                 ┌──────────────────────────┐
//	strangers ──▶ :25│ internet ─▶ filters ─┐   │ -- ──┬──▶ 10.0.0.5
//	                 │                      ├─▶ spool ──┴──▶ 10.0.0.6
//	MX hosts ◀── * ──│ organization ────────┘   │
//	                 └──────▲───────────────────┘
//	                        └─ :2526 ── 10.0.0.5, 10.0.0.6: by address,
//	                                    or by account over TLS
//
// The file is explained in edge.yaml. -check says whether it is right, and
// what is wrong in which line. SIGHUP reads it again, and the certificate and
// the accounts with it: sessions that are there end under the rules that they
// began with, new ones and the queue follow the new rules; a file with an
// error changes nothing. SIGTERM ends it: what is in hand is finished, what
// waits stays in the spool.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	path := flag.String("config", "edge.yaml", "the configuration `file`")
	check := flag.Bool("check", false, "check the configuration, and do no more")
	flag.Parse()
	if flag.NArg() > 0 {
		fail(2, fmt.Errorf("%q is not a flag", flag.Args()))
	}
	c, err := load(*path)
	if err == nil {
		_, err = newRules(c, nothing(c)) // before anything is opened
	}
	if err != nil {
		fail(2, err)
	}
	if *check {
		fmt.Printf("%s is right\n", *path)
		return
	}

	// Before anything else, since the default of SIGHUP is to end us.
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	log.Info("starting", "pid", os.Getpid())
	edge, err := newEdge(*path, c, reload, log)
	if err != nil {
		fail(2, err)
	}
	if err := edge.Run(ctx); err != nil {
		fail(1, err)
	}
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(code)
}
