package policy

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Gate puts the usual policies in the usual order: the relay policy, the
// loop check, the application's own agents, the trace field, and the
// hand-over to the queue. Its zero value, with a Queue, refuses all mail.
//
// A program that wants another order uses the types that the Gate is made of.
type Gate struct {
	// Domains are the accepted domains: everybody may send to their
	// recipients.
	Domains []Domain
	// Networks and Authenticated say who may send to all other domains, as
	// in [Relay].
	Networks      []netip.Prefix
	Authenticated bool
	// DangerouslyRelayForEveryone: see [Relay].
	DangerouslyRelayForEveryone bool
	// Queue takes over what was accepted.
	Queue Submitter
}

// Install makes srv judge by the Gate: it sets srv.Handler, and puts the
// Gate's agents around those that are in srv.Agents already, so that the
// application's agents see only what may pass, and the trace field comes
// after all of them. It must be called once, before srv serves; one Gate may
// be installed in several servers. The error names the setting that is wrong.
func (g *Gate) Install(srv *smtpserver.Server) error {
	if g.Queue == nil {
		return errors.New("policy: Gate.Queue is not set")
	}
	if srv.Handler != nil {
		return errors.New("policy: the server has a Handler already")
	}
	domains, err := NewDomains(g.Domains...)
	if err != nil {
		return err
	}
	relay := &Relay{
		Domains:                     domains,
		Networks:                    g.Networks,
		Authenticated:               g.Authenticated,
		DangerouslyRelayForEveryone: g.DangerouslyRelayForEveryone,
	}
	if err := relay.Validate(); err != nil {
		return err
	}
	loop := &Loop{}
	trace := &Trace{}
	srv.Agents = slices.Concat(
		[]smtpserver.Agent{relay.Agent(), loop.Agent()},
		srv.Agents,
		[]smtpserver.Agent{trace.Agent()})
	srv.Handler = &Handover{Queue: g.Queue}
	return nil
}
