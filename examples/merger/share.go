package main

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// domains are those that mail is accepted for: ours, on one system or on both,
// and theirs.
func (s *settings) domains() ([]policy.Domain, error) {
	ours := policy.Domain{Name: s.ours, Directory: s.recipients}
	toThem := queue.NextHop{Destination: s.theirs} // whichever way mail for their own domain goes
	switch s.share {
	case "none":
	case "names":
		// We know all of both systems' mailboxes, and refuse all others.
		ours.SharedWith = []policy.OtherSystem{{Directory: s.names, Route: toThem}}
	case "unresolved":
		// We do not know theirs, so nobody can be refused here.
		ours.Kind, ours.Unresolved = policy.InternalRelay, toThem
	default:
		return nil, fmt.Errorf("-share: no such thing: %q", s.share)
	}
	// In their own domain they know their recipients themselves.
	return []policy.Domain{ours, {Name: s.theirs, Kind: policy.ExternalRelay}}, nil
}
