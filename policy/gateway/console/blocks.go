package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
)

// maxBlockPage is the largest number of a page of blocks.
const maxBlockPage = 1_000_000

// blocksParams select a page of blocks.
type blocksParams struct {
	Address string `param:"address" doc:"Only blocks in this IP address or network."`
	Page    int    `param:"page" doc:"The number of the page, from 1."`
	Limit   int    `param:"limit" doc:"Rows of the page, at most 1000. Default 100."`
}

// blocksView is a page of blocks.
type blocksView struct {
	Blocks  []blockView `json:"blocks" doc:"The clients that the relay refuses because of their reputation, ordered by address."`
	Total   int         `json:"total" doc:"Of the blocks that match."`
	Enabled bool        `json:"enabled" doc:"False if no receive connector observes the reputation of clients."`
	Next    int         `json:"next,omitempty" doc:"The value of the parameter page for the next page."`

	Params blocksParams `json:"-"`
}

// blockView is one block.
type blockView struct {
	Network   string    `json:"network" doc:"An address, or a network of IPv6 with a prefix of 64 bits."`
	Until     time.Time `json:"until" doc:"When it ends by itself."`
	Receivers []string  `json:"receiveConnectors" doc:"The receive connectors that refuse the client."`

	network netip.Prefix
}

func showBlocks(x *call, p blocksParams) (*blocksView, error) {
	limit, err := rows(p.Limit)
	if err != nil {
		return nil, err
	}
	if p.Page < 0 || p.Page > maxBlockPage {
		return nil, wrongParameter("page", fmt.Sprintf("%d is not the number of a page", p.Page))
	}
	within, err := networkOf("address", p.Address)
	if err != nil {
		return nil, err
	}
	all, enabled := x.blocks(within)
	v := &blocksView{Total: len(all), Enabled: enabled, Params: p}
	page := max(p.Page, 1)
	begin := min((page-1)*limit, len(all))
	v.Blocks = all[begin:min(begin+limit, len(all))]
	if begin+limit < len(all) {
		v.Next = page + 1
	}
	return v, nil
}

// reputations returns the Reputations of the receive connectors, each with the names of
// the connectors that have it.
func (x *call) reputations() (all []*policy.Reputation, receivers map[*policy.Reputation][]string) {
	receivers = map[*policy.Reputation][]string{}
	for _, c := range x.console.Gateway.ReceiveConnectors() {
		if c.Gate == nil || c.Gate.Reputation == nil {
			continue
		}
		r := c.Gate.Reputation
		if receivers[r] == nil {
			all = append(all, r)
		}
		if !slices.Contains(receivers[r], c.Name) {
			receivers[r] = append(receivers[r], c.Name)
		}
	}
	return all, receivers
}

// blocks returns the blocks that overlap a network; all if it is the zero Prefix.
// enabled reports whether there is a Reputation.
func (x *call) blocks(within netip.Prefix) (all []blockView, enabled bool) {
	all = []blockView{}
	reputations, receivers := x.reputations()
	for _, r := range reputations {
		for _, b := range r.Blocks() {
			if within.IsValid() && !b.Network.Overlaps(within) {
				continue
			}
			name := b.Network.String()
			if b.Network.IsSingleIP() {
				name = b.Network.Addr().String()
			}
			all = append(all, blockView{name, b.Until, receivers[r], b.Network})
		}
	}
	slices.SortStableFunc(all, func(a, b blockView) int {
		return cmp.Or(a.network.Addr().Compare(b.network.Addr()), a.Until.Compare(b.Until))
	})
	return all, len(reputations) > 0
}

// errNoBlock says that there is nothing to unblock.
var errNoBlock = refuse(http.StatusNotFound, "No client with this address is blocked. The block may have ended.")

// unblockParams select the clients whose blocks end.
type unblockParams struct {
	Address string `param:"address" doc:"The IP address of a client, or a network; all blocks in it end."`
}

func planUnblock(x *call, p unblockParams) (*plan, error) {
	within, err := networkOf("address", p.Address)
	if err != nil {
		return nil, err
	}
	if !within.IsValid() {
		return nil, wrongParameter("address", "an IP address or a network is needed")
	}
	all, _ := x.blocks(within)
	if len(all) == 0 {
		return nil, errNoBlock
	}
	return &plan{
		Title: "Unblock " + p.Address, Text: "The clients are accepted again, and the relay forgets how they behaved.", Count: len(all), Things: "block", Back: "/blocks",
		do: func(context.Context) (int, error) { return x.unblock(within), nil },
	}, nil
}

// unblock ends the blocks that overlap a network, and returns how many there were.
func (x *call) unblock(within netip.Prefix) (n int) {
	reputations, _ := x.reputations()
	for _, r := range reputations {
		for _, b := range r.Blocks() {
			if b.Network.Overlaps(within) && r.Unblock(b.Network.Addr()) {
				n++
			}
		}
	}
	return n
}
