package policy

import (
	"net/netip"
	"slices"
	"time"
)

// A ReputationBlock is an address (an IPv4 address, or a /64 of IPv6) that a
// [Reputation] refuses at present.
type ReputationBlock struct {
	Network netip.Prefix
	Until   time.Time // the end of the block
}

// Blocks returns the blocks that are in force, ordered by network. It looks at
// each of the Reputation.Max records once.
func (r *Reputation) Blocks() []ReputationBlock {
	now := time.Now()
	r.mu.Lock()
	var list []ReputationBlock
	for network, c := range r.clients.m {
		if now.Before(c.blocked) {
			list = append(list, ReputationBlock{network, c.blocked})
		}
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b ReputationBlock) int { return a.Network.Addr().Compare(b.Network.Addr()) })
	return list
}

// Unblock removes the block and all points of an address, as Block(ip, 0) does.
// For an IPv6 address it removes those of its /64. It reports whether there was
// a block.
func (r *Reputation) Unblock(ip netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	network := addressOf(ip)
	c := r.clients.m[network]
	delete(r.clients.m, network)
	return c != nil && time.Now().Before(c.blocked)
}
