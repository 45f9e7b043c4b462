package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// accepted are the domains that mail is accepted for, and hooks what finds the
// system that a mailbox is on, where the domain does not tell.
func (s *settings) accepted() (domains []policy.Domain, hooks []queue.Hook, err error) {
	own, err := directory("-recipients", s.recipients)
	if err != nil {
		return nil, nil, err
	}
	ours := policy.Domain{Name: s.ours, Directory: own}
	switch s.share {
	case "none":
	case "names":
		// We know all of both systems' mailboxes, and refuse all others.
		names, err := directory("-names", s.names)
		if err != nil {
			return nil, nil, err
		}
		ours.Directory = policy.AnyOf(own, names)
		hooks = []queue.Hook{elsewhere(s.ours, own)}
	case "unresolved":
		// We do not know theirs, so nobody can be refused here.
		ours.Kind = policy.InternalRelay
		hooks = []queue.Hook{elsewhere(s.ours, own)}
	default:
		return nil, nil, fmt.Errorf("-share: no such thing: %q", s.share)
	}
	// In their own domain they know their recipients themselves.
	return []policy.Domain{ours, {Name: s.theirs, Kind: policy.ExternalRelay}}, hooks, nil
}

// elsewhere sends whoever in the domain is not on our system to theirs. As a
// hook of the queue it sees reports too: those to their people must not end at
// our system, which does not know them.
func elsewhere(domain string, own policy.Directory) queue.Hook {
	return queue.Hook{Name: "elsewhere", Resolved: func(ctx context.Context, m *queue.Message) error {
		for _, r := range m.Recipients {
			if at := strings.LastIndexByte(r.Addr, '@'); at < 0 || !strings.EqualFold(r.Addr[at+1:], domain) {
				continue
			}
			here, err := own.Exists(ctx, r.Addr)
			if err != nil {
				return err // the client is told to come again
			}
			if !here {
				r.Route = queue.NextHop{Connector: "theirs", Destination: "theirs"}
			}
		}
		return nil
	}}
}
