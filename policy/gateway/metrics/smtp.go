package metrics

import (
	"cmp"
	"maps"
	"slices"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// A sender is a Deliverer that counts what it sends. routing.Router is one.
type sender interface{ Counters() live.SendCounters }

// sender returns the sender of the relay, nil if there is none.
func (e *Exporter) sender() sender {
	q := e.Gateway.Queue
	if q == nil {
		return nil
	}
	if s, ok := q.Deliverer.(sender); ok {
		return s
	}
	for _, c := range e.Gateway.Closers { // an application's Deliverer may call a Router
		if s, ok := c.(sender); ok {
			return s
		}
	}
	return nil
}

// smtp adds the statistics of the sending side.
func smtp(b *builder, c live.SendCounters) {
	b.add("smtp_connections", Gauge, "Connections to other hosts that are open now.", value(c.Connections))
	b.add("smtp_connects_total", Counter, "Attempts to connect to other hosts, by result.", byName("result", c.Connects)...)
	b.add("smtp_sessions_total", Counter, "SMTP sessions with other hosts, by result: ok, or failed before the first message.",
		value(c.Sessions, "result", "ok"), value(c.Failed, "result", "failed"))
	b.add("smtp_messages_total", Counter, "Transactions whose message another host has accepted.", value(c.Messages))
	b.add("smtp_bytes_total", Counter, "Bytes of content of these messages.", value(c.Bytes))
	var replies []Sample
	keys := slices.SortedFunc(maps.Keys(c.Replies), func(a, b live.ReplyKey) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Status, b.Status))
	})
	for _, k := range keys {
		replies = append(replies, value(c.Replies[k], "stage", word(k.Stage), "enhanced", k.Status))
	}
	b.add("smtp_replies_total", Counter, "Replies of other hosts, by the command and by class and subject of the enhanced status code.", replies...)
	var durations []Sample
	for _, stage := range slices.Sorted(maps.Keys(c.Durations)) {
		durations = append(durations, histogram(c.Durations[stage], "stage", word(stage)))
	}
	b.add("smtp_duration_seconds", HistogramType, "Time that a step of a session with another host took.", durations...)
	b.add("smtp_tls_total", Counter, "Sessions with other hosts, by how the host was verified.", byName("verified", c.TLS)...)
	b.add("smtp_tls_failures_total", Counter, "Sessions with other hosts that failed because of TLS.", value(c.TLSFailed))
}
