package main

import (
	"net/netip"
	"testing"
	"time"
)

// An operator sees which clients are blocked, and ends the block of one.
func TestBlocks(t *testing.T) {
	w := newWorld(t, nil)
	w.do("blocks").want(3, "no client is blocked")
	for _, ip := range []string{"192.0.2.66", "203.0.113.9", "2001:db8::1"} {
		w.reputation.Block(netip.MustParseAddr(ip), 72*time.Hour)
	}
	w.do("blocks").want(0, "CLIENT", "192.0.2.66", "203.0.113.9", "2001:db8::/64", "incoming", "in ")
	if out := w.do("blocks", "-address", "203.0.113.0/24").want(0, "203.0.113.9").out; len(out) > 200 {
		t.Error(out)
	}
	w.do("blocks", "end", "192.0.2.66").want(4, "Unblock 192.0.2.66", "1 block")
	w.do("blocks", "end", "192.0.2.66", "-yes", "-reason", "repaired").want(0, "done, 1 block")
	w.do("blocks", "end", "192.0.2.66", "-yes", "-reason", "repaired").want(3)
	w.do("blocks", "end", "x", "-yes", "-reason", "repaired").want(1, "IP address")
	w.do("blocks", "end").want(2)
	if all := w.do("blocks", "-json").want(0).json()["blocks"].([]any); len(all) != 2 {
		t.Errorf("%v", all)
	}
}
