package routing

import (
	"context"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// Route for one recipient, with a thousand connectors.
func BenchmarkRoute(b *testing.B) {
	connectors := []Connector{{Name: "internet", Spaces: []string{"*;10"}}}
	for i := range 1000 {
		n := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		connectors = append(connectors, Connector{Name: n, Spaces: []string{"*." + n + ".example.com"}})
	}
	r := &Router{Table: table(b, connectors...)}
	m := &queue.Message{From: "alice@example.com", Content: queue.String("x")}
	rcpt := &queue.Recipient{Addr: "bob@mail.aba.example.com"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Route(b.Context(), m, rcpt); err != nil {
			b.Fatal(err)
		}
	}
}

// The cost of Deliver without the transport.
func BenchmarkDeliver(b *testing.B) {
	sent := []queue.Result{{Outcome: queue.Success}}
	nothing := TransportFunc(func(context.Context, *Job) []queue.Result { return sent })
	r := &Router{Hostname: "relay.test", Table: table(b,
		Connector{Name: "org", Spaces: []string{"example.com"}, Transport: nothing})}
	m := &queue.Message{From: "alice@example.com", Content: queue.String("x")}
	rcpts := queue.Rcpt("bob@example.com")
	b.ReportAllocs()
	for b.Loop() {
		hop, err := r.Route(b.Context(), m, rcpts[0])
		if err != nil {
			b.Fatal(err)
		}
		if r.Deliver(b.Context(), hop, m, rcpts)[0].Outcome != queue.Success {
			b.Fatal("not delivered")
		}
	}
}

// A lookup that the cache answers.
func BenchmarkLookup(b *testing.B) {
	s, err := dnstest.InMemory("example.net. MX 10 mx.example.net.")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := &DNSResolver{Servers: []string{"ns"}, Dial: s.Dial}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Lookup(b.Context(), "example.net", TypeMX); err != nil {
				b.Fatal(err)
			}
		}
	})
}
