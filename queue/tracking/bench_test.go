package tracking

import (
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// BenchmarkLine measures making the line of a delivery.
func BenchmarkLine(b *testing.B) {
	l := &Log{Hostname: "relay.example.com"}
	now := time.Now()
	e := queue.Event{
		Time: now, Kind: queue.EventSend, ID: "1lg4bs81abd3ea-2.1", MessageID: "<13e1.0005.1374@client.example.com>",
		Subject: "Lunch", From: "alice@example.com", Size: 4383, Received: now,
		Origin:     queue.Origin{Connector: "default", ClientAddr: "192.0.2.1", ClientHelo: "pc.example.com", Protocol: "ESMTP"},
		Recipients: []queue.EventRecipient{{Addr: "bob@example.net", Reply: "250 2.0.0 Ok"}},
		Hop:        queue.NextHop{Connector: "internet", Destination: "example.net"},
		Host:       "mx.example.net", Addr: "192.0.2.25", TLS: "TLS1.3", Took: 12 * time.Millisecond,
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		r := l.record(&e)
		out = r.append(out[:0])
	}
	b.SetBytes(int64(len(out)))
}
