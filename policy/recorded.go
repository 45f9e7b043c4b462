package policy

import "net/netip"

// RecordedRelay answers from the data of a log which clients may relay. A log has
// the address of a client and whether it was authenticated, but not its host name,
// its certificate and its identity.
type RecordedRelay struct{ grants *grants }

// RecordedRelay returns the relay policy of the Gate for such questions.
func (g *Gate) RecordedRelay() *RecordedRelay {
	relay := &Relay{Networks: g.Networks, Authenticated: g.Authenticated, Grants: g.Grants, DangerouslyRelayForEveryone: g.DangerouslyRelayForEveryone}
	prepared, _ := relay.prepare() // Install has reported the error
	return &RecordedRelay{prepared}
}

// MayRelay reports whether a client may send to recipients outside the accepted
// domains (the right AcceptAnyRecipient). ip may be invalid: then the address is
// not known. If known is false, the answer depends on what a log does not have.
func (r *RecordedRelay) MayRelay(ip netip.Addr, authenticated bool) (may, known bool) {
	best := no
	for _, g := range r.grants.list {
		if g.rights&AcceptAnyRecipient != 0 {
			best = max(best, g.to.recorded(ip.Unmap().WithZone(""), authenticated))
		}
	}
	return best == yes, best != perhaps
}

// An answer is the result of a question about incomplete data.
type answer int

const (
	no answer = iota
	perhaps
	yes
)

// recorded reports whether a client of a log matches. See clients.has.
func (p *clients) recorded(ip netip.Addr, authenticated bool) answer {
	in := p.recordedMeets(ip, authenticated)
	if p.except == nil || in == no {
		return in
	}
	switch p.except.recorded(ip, authenticated) {
	case no:
		return in
	case yes:
		return no
	}
	return perhaps
}

func (p *clients) recordedMeets(ip netip.Addr, authenticated bool) answer {
	switch {
	case p.everyone, p.anonymous && !authenticated, p.authenticated && authenticated, ip.IsValid() && p.networks.Contains(ip):
		return yes
	case authenticated && len(p.identities) > 0, len(p.keys)+len(p.certNames)+len(p.hosts) > 0, !ip.IsValid() && p.networks.Len() > 0:
		return perhaps
	}
	return no
}
