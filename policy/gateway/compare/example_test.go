package compare_test

import (
	"context"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Find out what a new routing table would do with yesterday's mail. A program with a
// tracking log calls Log instead of Run.
func Example() {
	inUse, err := routing.NewTable(routing.Connector{Name: "internet", Spaces: []string{"*"}})
	if err != nil {
		panic(err)
	}
	q := &queue.Queue{Store: &memory.Store{}, Deliverer: &routing.Router{Table: inUse}}
	srv := &smtpserver.Server{Name: "internet"}
	gate := &policy.Gate{Domains: []policy.Domain{{Name: "example.com"}}, Queue: q}
	if err := gate.Install(srv); err != nil {
		panic(err)
	}
	relay := &gateway.Gateway{Servers: []*smtpserver.Server{srv}, Queue: q}

	changed, err := routing.NewTable(
		routing.Connector{Name: "mailboxes", Spaces: []string{"example.com"}, SmartHosts: routing.SmartHosts("10.0.0.5")},
		routing.Connector{Name: "internet", Spaces: []string{"*"}})
	if err != nil {
		panic(err)
	}
	c := &compare.Comparison{Gateway: relay, Candidate: compare.Candidate{Table: changed}}
	result, err := c.Run(context.Background(), each(received("alice@example.net", "bob@example.com")))
	if err != nil {
		panic(err)
	}
	fmt.Print(result)
	// Output:
	// 1 messages from 2026-11-28 12:00:00 to 2026-11-28 12:00:00, 1 recipients: 0 unchanged
	//        1 would take another route
	//
	// example.com: 1 of 1 recipients change
	//        1 would take another route
	//          now: sent via internet to example.com
	//          new: sent via mailboxes to [10.0.0.5]
	//          2026-11-28 12:00:00 m1 from <alice@example.net> to <bob@example.com>
}
