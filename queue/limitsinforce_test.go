package queue_test

import (
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// LimitsInForce has the limits of the queue and of a next hop, and the times after
// which a message gets a delay notice and expires.
func TestLimitsInForce(t *testing.T) {
	for _, retry := range []queue.RetryPolicy{queue.Retry{Expiry: 72 * time.Hour}, &queue.Retry{Expiry: 72 * time.Hour}} {
		q := &queue.Queue{Store: &memory.Store{}, Retry: retry, Limits: queue.Limits{Active: 400, BadMailBytes: -1, Hop: queue.HopLimits{Rate: 2.5}}}
		got := map[string]string{}
		for _, l := range q.LimitsInForce() {
			got[l.Name] = l.Text
		}
		for name, want := range map[string]string{"Active": "400", "Memory": "128 MiB", "Deliveries": "500", "Rate": "no limit", "Lease": "10m",
			"BadMail": "720h", "BadMailBytes": "no limit", "Received": "30", "Hop.Concurrency": "20", "Hop.Rate": "2.5 per second", "Hop.Active": "100",
			"Retry.DelayNotice": "12h", "Retry.Expiry": "72h"} {
			if got[name] != want {
				t.Errorf("%s: %q, want %q", name, got[name], want)
			}
		}
	}
}
