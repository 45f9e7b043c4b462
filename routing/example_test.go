package routing_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Mail of high priority has a connector of its own: the author's Importance counts as well as
// the MT-PRIORITY of the envelope.
func ExampleConnector_headerPriority() {
	table, err := routing.NewTable(
		routing.Connector{Name: "urgent", Spaces: []string{"*;1"}, Priorities: routing.HighPriority, HeaderPriority: true},
		routing.Connector{Name: "internet", Spaces: []string{"*;2"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	router := &routing.Router{Table: table}
	defer router.Close()
	for _, importance := range []string{"high", "normal"} {
		m := &queue.Message{From: "a@example.com", Content: queue.String("Importance: " + importance + "\r\n\r\n")}
		hop, err := router.Route(context.Background(), m, &queue.Recipient{Addr: "b@example.net"})
		fmt.Println(importance, hop.Connector, err)
	}
	// Output:
	// high urgent <nil>
	// normal internet <nil>
}

// Mail for the organization goes to its own servers, everything else to the
// internet.
func ExampleNewTable() {
	table, err := routing.NewTable(
		routing.Connector{
			Name:       "organization",
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
	// bob@example.com -> [10.0.0.5],[10.0.0.6]:2525 via organization <nil>
	// dev@build.corp.example.com -> [10.0.0.5],[10.0.0.6]:2525 via organization <nil>
	// carol@example.net -> example.net via internet <nil>
}

// NewTable refuses a table with faults and describes each fault.
func ExampleConfigError() {
	_, err := routing.NewTable(
		routing.Connector{Name: "internet", Spaces: []string{"*;200"}},
		routing.Connector{Name: "partner", Spaces: []string{"partner.example"}, SmartHosts: routing.SmartHosts("10.1.1.1:smtp")},
	)
	fmt.Println(err)
	// Output:
	// connector internet: Spaces[0]: "*;200": the cost is not a number from 1 to 100
	// connector partner: SmartHosts[0]: "10.1.1.1:smtp": the port "smtp" is not a number from 1 to 65535
}

// Deliver a message to the MX host of a domain. A DNS server of the example
// has the records.
func ExampleRouter() {
	host := &smtpserver.Server{Hostname: "mx.example.net", Handler: smtpserver.HandlerFunc(
		func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) (string, error) {
			fmt.Println("arrived for", m.Recipients[0].Addr)
			return "Thank you", nil
		})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go host.Serve(l)
	defer host.Close()
	dns, err := dnstest.Start(`
		example.net.     MX 10 mx.example.net.
		mx.example.net.  A  127.0.0.1
		nomail.example.  MX 0 .`)
	if err != nil {
		panic(err)
	}
	defer dns.Close()

	table, err := routing.NewTable(routing.Connector{Name: "internet", Spaces: []string{"*"},
		Port: l.Addr().(*net.TCPAddr).Port}) // not 25 in this example
	if err != nil {
		panic(err)
	}
	router := &routing.Router{Table: table, Hostname: "relay.example.com",
		Resolver: &routing.DNSResolver{Servers: []string{dns.Addr}}}
	defer router.Close()

	// A queue.Queue calls its Deliverer in the same way:
	ctx := context.Background()
	m := &queue.Message{From: "alice@example.com", Content: queue.String("Subject: hello\r\n\r\nHow are you?\r\n")}
	for _, rcpt := range queue.Rcpt("bob@example.net", "carol@nomail.example") {
		hop, err := router.Route(ctx, m, rcpt)
		if err != nil {
			panic(err)
		}
		r := router.Deliver(ctx, hop, m, []*queue.Recipient{rcpt})[0]
		fmt.Println(rcpt.Addr, r.Reply.Code, r.Reply.EnhancedCode, r.Reply.Message)
	}
	// Output:
	// arrived for bob@example.net
	// bob@example.net 250 [2 0 0] Thank you
	// carol@nomail.example 556 [5 1 10] nomail.example: the domain accepts no mail (null MX)
}

// Explain how a message would be routed, and why. With Hosts, Explain also
// looks up the hosts; with Probe, it also connects to them.
func ExampleRouter_Explain() {
	table, err := routing.NewTable(
		routing.Connector{Name: "partner", Spaces: []string{"*.example.net"}, SmartHosts: routing.SmartHosts("[10.0.0.7]"), MaxMessageSize: 1 << 20},
		routing.Connector{Name: "internet", Spaces: []string{"*;10"}},
		routing.Connector{Name: "backup", Spaces: []string{"*;20"}, SmartHosts: routing.SmartHosts("relay.provider.example")},
	)
	if err != nil {
		panic(err)
	}
	router := &routing.Router{Table: table, Hostname: "relay.example.com"}
	fmt.Print(router.Explain(context.Background(), routing.Question{From: "alice@example.com", To: "bob@example.net", Size: 5 << 20}))
	// Output:
	// from alice@example.com to bob@example.net, 5242880 bytes
	// connectors:
	//   - partner (*.example.net, cost 1): message too large
	//   * internet (*;10, cost 10): chosen
	//   - backup (*;20, cost 20): higher cost: 20 instead of 10
	// next hop: example.net via internet
}

// A Go function receives the mail for one domain.
func ExampleTransportFunc() {
	tickets := routing.TransportFunc(func(ctx context.Context, j *routing.Job) []queue.Result {
		var text strings.Builder
		j.Message.Content.WriteTo(&text)
		results := make([]queue.Result, len(j.Recipients))
		for i, rcpt := range j.Recipients {
			fmt.Printf("a ticket for %s: %q\n", rcpt.Addr, text.String())
			results[i] = queue.Result{Outcome: queue.Success, Reply: smtp.SMTPError{Code: 250, Message: "Ticket opened"}}
		}
		return results
	})
	table, err := routing.NewTable(
		routing.Connector{Name: "tickets", Spaces: []string{"tickets.example.com"}, Transport: tickets},
		routing.Connector{Name: "internet", Spaces: []string{"*"}})
	if err != nil {
		panic(err)
	}
	router := &routing.Router{Table: table}
	m := &queue.Message{From: "alice@example.com", Content: queue.String("Subject: It does not work\r\n\r\n")}
	rcpts := queue.Rcpt("printer@tickets.example.com")
	hop, err := router.Route(context.Background(), m, rcpts[0])
	if err != nil {
		panic(err)
	}
	fmt.Println(router.Deliver(context.Background(), hop, m, rcpts)[0].Reply.Message)
	// Output:
	// a ticket for printer@tickets.example.com: "Subject: It does not work\r\n\r\n"
	// Ticket opened
}

// Large messages are sent at night.
func ExampleParseSchedule() {
	night, err := routing.ParseSchedule("22:00-06:00; Sun always; 2026-12-25 always", time.UTC)
	if err != nil {
		panic(err)
	}
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	fmt.Println(night.Open(noon), night.NextOpen(noon).Format(time.DateTime))
	_, err = routing.NewTable(routing.Connector{Name: "internet", Spaces: []string{"*"},
		OversizeSize: 10 << 20, OversizeSchedule: night})
	fmt.Println(err)
	// Output:
	// false 2026-11-23 22:00:00
	// <nil>
}
