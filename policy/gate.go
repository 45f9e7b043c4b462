package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bridgehead-mail/bridgehead/internal/settings"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Gate combines the policies in the usual order. The zero Gate with a Queue
// refuses all mail. To use another order, use the types of this package
// directly.
//
// At each event the agents run in this order. Agents that also exist in
// Exchange have the same order as in Exchange:
//
//	rights           the rights of the client, from the relay policy
//	back pressure    Pressure
//	connection       Connection, ClientName, then Reputation, Rates
//	senders          Senders, Spoofing, SendAs, SenderDomain
//	recipients       the relay policy at RCPT, then Recipients, Greylist
//	loop             Loop
//	MailAuth         SPF, DKIM, DMARC, ARC, before anything is changed; then
//	                 Spoofing if Spoofing.Trusted is set
//	Inbound          for all sessions: authres.Stamper, header firewall,
//	                 address rewriting of incoming mail
//	Rules            transport rules
//	AntiSpam         milters and scanners
//	Content          attachment and virus filters
//	srv.Agents       the application's own agents
//	Outbound         address rewriting of outgoing mail, signers
//	reputation       counts the message as good, if Reputation is set
//	trace            the Received field
//	tarpit           Tarpit
//
// A nil field is skipped. MailAuth and AntiSpam skip sessions that have the right
// BypassAntiSpam.
type Gate struct {
	// Domains are the accepted domains. Every client may send to their
	// recipients. Without Spoofing, every client may also use them in its sender
	// address.
	Domains []Domain
	// Networks and Authenticated select the clients that may send to all other
	// domains. Grants give rights to classes of clients. See [Relay].
	Networks      []netip.Prefix
	Authenticated bool
	Grants        []Grant
	// DSNForEveryone offers delivery status notifications to all clients, and
	// not only to known ones; see [Relay].
	DSNForEveryone bool
	// DangerouslyRelayForEveryone allows settings that make an open relay; see
	// [Relay].
	DangerouslyRelayForEveryone bool
	// Resolver looks up names in the DNS for the relay policy, and for all
	// policies below that have no Resolver. Default: that of the
	// gateway.Gateway. If there is none, a zero NetResolver.
	Resolver Resolver

	// LoginLimit limits how many passwords a client can try. Install gives it
	// to each server that has none. Default: the default of
	// smtpserver.Server.LoginLimit.
	LoginLimit *smtpserver.LoginLimit

	// ReverseDNS adds the client's host name to the Received field; see
	// [Trace].
	ReverseDNS bool
	// HideAuthenticated leaves the name and the address of authenticated clients
	// out of the Received field; see [Trace].
	HideAuthenticated bool

	// Policies of this package. Those that need the accepted domains get
	// Domains unless they have their own.
	Pressure     *Pressure
	Connection   *ConnectionFilter
	ClientName   *ClientName
	Reputation   *Reputation
	Rates        *Rates
	Senders      *SenderFilter
	Spoofing     *Spoofing
	SendAs       *SendAs
	SenderDomain *SenderDomain
	Recipients   *RecipientFilter
	Greylist     *Greylist
	Tarpit       *Tarpit

	// MailAuth, Inbound, Rules, AntiSpam, Content and Outbound are agents of
	// other packages or of the application.
	MailAuth, Inbound, Rules, AntiSpam, Content, Outbound []smtpserver.Agent

	// Queue gets the accepted messages. It must be set.
	Queue Submitter
}

// Install configures srv to use the Gate: it sets srv.Handler, and puts the
// Gate's agents around those in srv.Agents. Call it once per server, before srv
// serves. A Gate, or copies of it with other settings, may be installed in
// several servers. The servers then share the counters of its policies. The
// error names each wrong setting, including each one that would make an open
// relay.
func (g *Gate) Install(srv *smtpserver.Server) error {
	switch {
	case g == nil:
		return errors.New("policy: the Gate is nil")
	case srv == nil:
		return errors.New("policy: Gate.Install: the server is nil")
	case g.Queue == nil:
		return errors.New("policy: Gate.Queue is not set")
	case settings.IsNil(g.Queue):
		return fmt.Errorf("policy: Gate.Queue is a nil %T", g.Queue)
	case settings.IsTypedNil(g.Resolver):
		return fmt.Errorf("policy: Gate.Resolver is a nil %T", g.Resolver)
	}
	if srv.Handler != nil {
		return errors.New("policy: the server already has a Handler")
	}
	domains, err := NewDomains(g.Domains...)
	if err != nil {
		return err
	}
	relay := &Relay{
		Domains:                     domains,
		Networks:                    g.Networks,
		Authenticated:               g.Authenticated,
		Grants:                      g.Grants,
		Resolver:                    g.Resolver,
		DSNForEveryone:              g.DSNForEveryone,
		DangerouslyRelayForEveryone: g.DangerouslyRelayForEveryone,
	}
	if err := errors.Join(srv.Validate(), relay.Validate(), relay.wideClaims(srv), relay.idle(srv), g.validate()); err != nil {
		return err
	}
	srv.Agents = g.agents(relay, domains, srv.Agents)
	installed := *g
	srv.Handler = &Enqueuer{Queue: g.Queue, gate: &installed}
	if srv.LoginLimit == nil {
		srv.LoginLimit = g.LoginLimit
	}
	return nil
}

func (g *Gate) validate() error {
	var errs []error
	if g.LoginLimit != nil {
		errs = append(errs, g.LoginLimit.Validate())
	}
	if g.Pressure != nil {
		errs = append(errs, g.Pressure.Validate())
	}
	if g.Connection != nil {
		errs = append(errs, g.Connection.Validate())
	}
	if g.ClientName != nil {
		errs = append(errs, g.ClientName.Validate())
	}
	if g.Reputation != nil {
		errs = append(errs, g.Reputation.Validate())
	}
	if g.Rates != nil {
		errs = append(errs, g.Rates.Validate())
	}
	if g.Senders != nil {
		errs = append(errs, g.Senders.Validate())
	}
	if g.Spoofing != nil {
		errs = append(errs, g.Spoofing.Validate())
	}
	if g.Recipients != nil {
		errs = append(errs, g.Recipients.Validate())
	}
	if g.Greylist != nil {
		errs = append(errs, g.Greylist.Validate())
	}
	return errors.Join(errs...)
}

// agents returns all agents in their order.
func (g *Gate) agents(relay *Relay, domains *Domains, own []smtpserver.Agent) []smtpserver.Agent {
	rights := relay.Agent()
	recipients := smtpserver.Agent{Name: rights.Name, Rcpt: rights.Rcpt}
	rights.Name, rights.Rcpt = "rights", nil
	all := []smtpserver.Agent{rights}
	if g.Pressure != nil {
		all = append(all, g.Pressure.Agent())
	}
	all = append(all, g.clientAgents(domains)...)
	senders, late := g.senderAgents(domains)
	all = append(all, senders...)
	all = append(all, recipients)
	if g.Recipients != nil {
		all = append(all, g.Recipients.Agent())
	}
	if g.Greylist != nil {
		all = append(all, g.Greylist.Agent())
	}
	all = append(all, new(Loop).Agent())
	all = slices.Concat(all, spamOnly(g.MailAuth), late, g.Inbound, g.Rules, spamOnly(g.AntiSpam), g.Content, own, g.Outbound)
	if g.Reputation != nil { // a message that no agent has refused is good
		all = append(all, smtpserver.Agent{Name: "reputation", EndOfData: g.Reputation.Agent().EndOfData})
	}
	all = append(all, g.trace().Agent())
	if g.Tarpit != nil {
		all = append(all, g.Tarpit.Agent())
	}
	return all
}

func (g *Gate) trace() *Trace {
	return &Trace{ReverseDNS: g.ReverseDNS, Resolver: g.Resolver, HideAuthenticated: g.HideAuthenticated}
}

// clientAgents returns the agents that check clients.
func (g *Gate) clientAgents(domains *Domains) (all []smtpserver.Agent) {
	if g.Connection != nil {
		f := *g.Connection
		if f.Resolver == nil {
			f.Resolver = g.Resolver
		}
		all = append(all, f.Agent())
	}
	if g.ClientName != nil {
		c := *g.ClientName
		if c.Resolver == nil {
			c.Resolver = g.Resolver
		}
		all = append(all, c.Agent())
	}
	if g.Reputation != nil {
		own := g.Reputation.Domains
		if own == nil {
			own = domains
		}
		a := g.Reputation.agent(own)
		a.EndOfData = nil
		all = append(all, a)
	}
	if g.Rates != nil {
		all = append(all, g.Rates.Agent())
	}
	return all
}

// senderAgents returns the agents that check senders. Those in late need the
// results of the MailAuth agents.
func (g *Gate) senderAgents(domains *Domains) (all, late []smtpserver.Agent) {
	if g.Senders != nil {
		all = append(all, g.Senders.Agent())
	}
	if g.Spoofing != nil {
		p := *g.Spoofing
		if p.Domains == nil {
			p.Domains = domains
		}
		a := p.Agent()
		if a.EndOfData != nil {
			late = append(late, smtpserver.Agent{Name: a.Name, EndOfData: a.EndOfData})
			a.EndOfData = nil
		}
		all = append(all, a)
	}
	if g.SendAs != nil {
		all = append(all, g.SendAs.Agent())
	}
	if g.SenderDomain != nil {
		d := *g.SenderDomain
		if d.Resolver == nil {
			d.Resolver = g.Resolver
		}
		all = append(all, d.Agent())
	}
	return all, late
}

func spamOnly(agents []smtpserver.Agent) []smtpserver.Agent {
	var all []smtpserver.Agent
	for _, a := range agents {
		all = append(all, Unless(BypassAntiSpam, a))
	}
	return all
}
