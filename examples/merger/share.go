package main

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// domains returns the accepted domains: ours, on one system or on both, and
// theirs.
func (s *settings) domains() ([]policy.Domain, error) {
	ours := policy.Domain{Name: s.ours, Directory: s.recipients}
	toThem := queue.NextHop{Destination: s.theirs} // routed as mail for their own domain
	switch s.share {
	case "none":
	case "names":
		// The mailboxes of both systems are known. All others are refused.
		ours.SharedWith = []policy.OtherSystem{{Directory: s.names, Route: toThem}}
	case "unresolved":
		// Their mailboxes are not known, so no recipient is refused here.
		ours.Kind, ours.Unresolved = policy.InternalRelay, toThem
	default:
		return nil, fmt.Errorf("-share: %q is not none, names or unresolved", s.share)
	}
	// Their system refuses unknown recipients in its own domain.
	return []policy.Domain{ours, {Name: s.theirs, Kind: policy.ExternalRelay}}, nil
}
