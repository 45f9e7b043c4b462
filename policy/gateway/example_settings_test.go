package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Host name, logger, resolver and accepted domains are set once. The parts of
// the relay get them from the Gateway.
func ExampleGateway() {
	domains := []policy.Domain{
		{Name: "example.com", Directory: policy.Recipients("alice", "bob"), SmartHosts: []string{"10.0.0.5"}},
		{Name: "example.org", Kind: policy.InternalRelay, SmartHosts: []string{"10.0.0.5"}},
	}
	table, err := routing.Site{Accepted: policy.Destinations(domains...)}.NewTable(
		routing.Connector{Name: "internet", Spaces: []string{"*"}})
	if err != nil {
		panic(err)
	}
	q := &queue.Queue{Store: new(memory.Store), Deliverer: &routing.Router{Table: table}}
	srv := new(smtpserver.Server)
	if err := (&policy.Gate{Domains: domains, Queue: q}).Install(srv); err != nil {
		panic(err)
	}
	relay := &gateway.Gateway{
		Hostname:  "relay.example.com",
		Logger:    slog.New(slog.DiscardHandler),
		Resolver:  &routing.DNSResolver{},
		Listeners: []*gateway.Listener{{Server: srv, Address: "127.0.0.1:0"}},
		Queue:     q,
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	<-relay.Ready()
	fmt.Println(relay.Listeners[0].Addr().Network(), srv.Hostname, q.Hostname)
	cancel()
	fmt.Println(<-ended)
	// Output:
	// tcp relay.example.com relay.example.com
	// <nil>
}

// Two receive connectors share port 25: one for the printers of the organization, which
// may send lines that end with LF, and one for all other clients.
func ExampleListener() {
	domains := []policy.Domain{{Name: "example.com", SmartHosts: []string{"10.0.0.5"}}}
	table, err := routing.Site{Accepted: policy.Destinations(domains...)}.NewTable()
	if err != nil {
		panic(err)
	}
	q := &queue.Queue{Store: new(memory.Store), Deliverer: &routing.Router{Table: table}}
	gate := &policy.Gate{Domains: domains, Queue: q}
	printers := netip.MustParsePrefix("10.1.0.0/16")
	internet, internal := new(smtpserver.Server), &smtpserver.Server{Name: "printers", BareLFFrom: []netip.Prefix{printers}}
	for _, srv := range []*smtpserver.Server{internet, internal} {
		if err := gate.Install(srv); err != nil {
			panic(err)
		}
	}
	relay := &gateway.Gateway{Hostname: "relay.example.com", Queue: q, Listeners: []*gateway.Listener{
		{Server: internet, Address: ":25"},
		{Server: internal, Address: ":25", RemoteNetworks: []netip.Prefix{printers}},
	}}
	fmt.Println(relay.Validate())
	// Output: <nil>
}

// Validate names each setting that cannot work.
func ExampleGateway_Validate() {
	srv := &smtpserver.Server{TLSMode: smtpserver.TLSImplicit}
	relay := &gateway.Gateway{
		Hostname:  "relay.example.com",
		Listeners: []*gateway.Listener{{Server: srv, Address: "smtps"}},
		Grace:     30, // meant are 30 seconds
	}
	fmt.Println(relay.Validate())
	// Output:
	// Grace: 30 nanoseconds: is the unit missing, for example 30*time.Second?
	// Listeners[0].Address: "smtps" is not an address to listen on, such as ":25"
	// Listeners[0].Server.Handler: is not set: policy.Gate.Install sets it
	// Listeners[0].Server.TLSMode: is TLSImplicit, but TLSConfig is nil
	// Queue: is not set
}

// Check also asks the DNS and the smart hosts, for example for a page of status.
func ExampleGateway_Check() {
	nowhere := routing.ResolverFunc(func(_ context.Context, name string, t routing.RecordType) (*routing.Answer, error) {
		return nil, &routing.LookupError{Problem: routing.NotFound, Name: name, Type: t}
	})
	relay := &gateway.Gateway{
		Hostname: "relay.example.com",
		Resolver: nowhere,
		Queue:    &queue.Queue{Store: new(memory.Store), Deliverer: discard{}},
	}
	for _, f := range relay.Check(context.Background()) {
		fmt.Fprintf(os.Stdout, "%v: %s: %s\n", f.Severity, f.Subject, f.Text)
	}
	// Output:
	// warning: addresses of relay.example.com: there are none: other servers may refuse mail from a host whose name does not exist
	// note: MX of relay.example.com: there is none: mail to this name goes to its addresses
}
