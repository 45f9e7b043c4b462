package main

import (
	"context"
	"hash/fnv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// canary is a hook that sends a part of a domain's mailboxes to the connector
// "new", and leaves all others to the routing table. It sees mail by whichever
// door it comes, before it is stored: the decision is stored with it.
func canary(domain string, percent int) queue.Hook {
	return queue.Hook{Name: "canary", Resolved: func(_ context.Context, m *queue.Message) error {
		for _, r := range m.Recipients {
			if chosen(r.Addr, domain, percent) {
				r.Route = queue.NextHop{Connector: "new", Destination: "new"}
			}
		}
		return nil
	}}
}

// chosen is the same for a mailbox each time, however its address is written,
// and stays true while the percentage grows.
func chosen(address, domain string, percent int) bool {
	address = strings.ToLower(address)
	if !strings.HasSuffix(address, "@"+strings.ToLower(domain)) {
		return false
	}
	h := fnv.New32a()
	h.Write([]byte(address))
	return int(h.Sum32()%100) < percent
}
