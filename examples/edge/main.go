// Command edge is the Edge Transport role in front of an existing organization:
// the only server that exchanges mail with the internet. It has four connectors:
//
//   - From the internet (receive): all clients may send to the accepted domains,
//     through the filters.
//   - From the organization (receive): its servers may send to any domain. They
//     are known by their address (externally secured), or log in over TLS (basic
//     authentication).
//   - To the internet (send): address space * with cost 10, by MX.
//   - To the organization (send): address space "--", which means all accepted
//     domains, by several smart hosts. Each of them gets a part of the mail.
//
// For example:
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
// The file edge.yaml explains each setting. With -check, edge reports each error
// of the file with its line and ends.
//
// With -compare, edge shows what another file would change before it takes effect:
// which mail of the last 24 hours would take another route, wait, or be refused.
//
// SIGHUP loads the file again, with the certificate and the accounts. New
// sessions and the queue use the new rules. Existing sessions keep the previous
// rules and are closed after ten minutes. If the file has an error, nothing
// changes.
//
// SIGTERM or SIGINT stops edge. Active sessions and delivery attempts may
// finish within 8 seconds. Waiting messages stay in the spool.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
)

func main() {
	path := flag.String("config", "edge.yaml", "configuration `file`, YAML")
	check := flag.Bool("check", false, "check the configuration file and end: status 0 if it is valid, 2 if not")
	changed := flag.String("compare", "", "show what the settings in `file` would change, by the mail of the last 24 hours, and end")
	flag.Parse()
	if *check && flag.NArg() == 0 {
		os.Exit(report(*path))
	}
	if *changed != "" && flag.NArg() == 0 {
		if err := compareFiles(context.Background(), os.Stdout, *path, *changed); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// Before anything else, because SIGHUP ends a process by default.
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	os.Exit(gateway.Main("edge", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		c, err := loadValid(*path)
		if err != nil {
			return nil, err
		}
		log.Info("starting", "pid", os.Getpid())
		return newEdge(*path, c, reload, log)
	}))
}

// report checks the file for -check and returns the exit status.
func report(path string) int {
	c, err := loadValid(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	for _, text := range c.warnings {
		fmt.Println("warning:", text)
	}
	fmt.Printf("%s is valid\n", path)
	return 0
}

// loadValid loads the file and checks it completely. It opens no socket and no
// spool.
func loadValid(path string) (*config, error) {
	c, err := load(path)
	if err != nil {
		return nil, err
	}
	p := forCheck(c)
	r, err := newRules(c, p)
	if err != nil {
		return nil, err
	}
	return c, c.whole(r, p.queue.(*queue.Queue))
}
