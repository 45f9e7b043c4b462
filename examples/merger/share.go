package main

import (
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/ldap"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// domains returns the accepted domains: ours, on one system or on both, and
// theirs.
func (m *merger) domains(k *program.Kit, d *ldap.Directory, aliases *policy.Aliases) []policy.Domain {
	known := []policy.Directory{aliases}
	if list := k.Recipients("recipients", m.recipients); list != nil {
		known = append(known, list)
	}
	if d != nil {
		known = append(known, &policy.CachedDirectory{Directory: d})
	}
	ours := policy.Domain{Name: m.ours, Directory: policy.AnyOf(known...)}
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
