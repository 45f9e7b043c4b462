package main

import (
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// domains returns the accepted domains: ours, on one system or on both, and
// theirs.
func (m *merger) domains(k *program.Kit) []policy.Domain {
	ours := policy.Domain{Name: m.ours, Directory: k.Recipients("recipients", m.recipients)}
	toThem := queue.NextHop{Destination: m.theirs} // routed as mail for their own domain
	switch m.share {
	case "names":
		// The mailboxes of both systems are known. All others are refused.
		ours.SharedWith = []policy.OtherSystem{{Directory: k.Recipients("names", m.names), Route: toThem}}
	case "unresolved":
		// Their mailboxes are not known, so no recipient is refused here.
		ours.Kind, ours.Unresolved = policy.InternalRelay, toThem
	}
	// Their system refuses unknown recipients in its own domain.
	return []policy.Domain{ours, {Name: m.theirs, Kind: policy.ExternalRelay}}
}
