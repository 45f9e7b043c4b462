package routing_test

import (
	"context"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// Mail for the organisation goes to its own servers, everything else to the
// internet.
func ExampleNewTable() {
	table, err := routing.NewTable(
		routing.Connector{
			Name:       "organisation",
			Spaces:     []string{"example.com", "*.corp.example.com"},
			SmartHosts: routing.SmartHosts("[10.0.0.5]", "[10.0.0.6]:2525"),
		},
		routing.Connector{Name: "internet", Spaces: []string{"*;10"}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	router := &routing.Router{Table: table, Hostname: "relay.example.com"}
	m := &queue.Message{From: "alice@example.com", Content: queue.String("Subject: hello\r\n\r\n")}
	for _, to := range []string{"bob@example.com", "dev@build.corp.example.com", "carol@example.net"} {
		hop, err := router.Route(context.Background(), m, &queue.Recipient{Addr: to})
		fmt.Println(to, "->", hop, err)
	}
	// Output:
	// bob@example.com -> [10.0.0.5],[10.0.0.6]:2525 via organisation <nil>
	// dev@build.corp.example.com -> [10.0.0.5],[10.0.0.6]:2525 via organisation <nil>
	// carol@example.net -> example.net via internet <nil>
}

// A table with a fault is refused, and told what is wrong with it.
func ExampleConfigError() {
	_, err := routing.NewTable(
		routing.Connector{Name: "internet", Spaces: []string{"*;200"}},
		routing.Connector{Name: "partner", Spaces: []string{"partner.example"}, SmartHosts: routing.SmartHosts("10.1.1.1")},
	)
	fmt.Println(err)
	// Output:
	// connector internet: Spaces[0]: "*;200": the cost is not a number from 1 to 100
	// connector partner: SmartHosts[0]: "10.1.1.1": an address stands in brackets, as [10.1.1.1]
}
