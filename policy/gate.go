package policy

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Gate puts the usual policies in the usual order, for those who want one
// line. Its zero value, with a Queue, refuses all mail. A program that wants
// another order uses the types that the Gate is made of.
//
// At each event the agents are asked in this order, which is Exchange's as far
// as it says something about mail of today:
//
//	rights           who the client is and what it may, from the relay policy
//	back pressure    Pressure
//	connection       Connection, then Reputation, Rates
//	senders          Senders, Spoofing, SendAs, SenderDomain
//	recipients       the relay policy's RCPT, then Recipients, Greylist
//	loop
//	Proof            SPF, DKIM, DMARC, ARC: before anything is changed; then
//	                 Spoofing, where it asks what was proven (Trusted)
//	Inbound          what goes for trusted sessions too: authres.Stamper, header
//	                 firewall, address rewriting of what comes in
//	Rules            transport rules
//	AntiSpam         milters and scanners
//	Content          attachment and virus filters
//	srv.Agents       the application's own
//	Outbound         address rewriting of what goes out, signers
//	trace            the Received field
//	tarpit           Tarpit
//
// Fields that are nil take no part. Proof and AntiSpam are not asked about
// sessions that have the right BypassAntiSpam.
type Gate struct {
	// Domains are the accepted domains: everybody may send to their
	// recipients.
	Domains []Domain
	// Networks and Authenticated say who may send to all other domains, and
	// Grants who may do what, as in [Relay].
	Networks      []netip.Prefix
	Authenticated bool
	Grants        []Grant
	// DangerouslyRelayForEveryone: see [Relay].
	DangerouslyRelayForEveryone bool
	// Resolver asks the DNS, for the relay policy and for all below that have
	// none of their own. Default net.DefaultResolver.
	Resolver Resolver

	// ReverseDNS writes the clients' host names into the Received field, as
	// in [Trace].
	ReverseDNS bool

	// Policies of this package. Those that need to know the accepted domains
	// get the Gate's, unless they have some of their own.
	Pressure     *Pressure
	Connection   *ConnectionFilter
	Reputation   *Reputation
	Rates        *Rates
	Senders      *SenderFilter
	Spoofing     *Spoofing
	SendAs       *SendAs
	SenderDomain *SenderDomain
	Recipients   *RecipientFilter
	Greylist     *Greylist
	Tarpit       *Tarpit

	// Agents of other packages, or of the application's own.
	Proof, Inbound, Rules, AntiSpam, Content, Outbound []smtpserver.Agent

	// Queue takes over what was accepted.
	Queue Submitter
}

// Install makes srv judge by the Gate: it sets srv.Handler, and puts the
// Gate's agents around those that are in srv.Agents already. It must be called
// once, before srv serves; one Gate may be installed in several servers, and
// copies of one with other settings too, which then share what its policies
// count. The error names each setting that is wrong, and above all those that
// would make an open relay.
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
		Grants:                      g.Grants,
		Resolver:                    g.Resolver,
		DangerouslyRelayForEveryone: g.DangerouslyRelayForEveryone,
	}
	if err := errors.Join(srv.Validate(), relay.Validate(), relay.wideClaims(srv), relay.idle(srv), g.validate()); err != nil {
		return err
	}
	srv.Agents = g.agents(relay, domains, srv.Agents)
	srv.Handler = &Enqueuer{Queue: g.Queue}
	return nil
}

func (g *Gate) validate() error {
	var errs []error
	if g.Pressure != nil {
		errs = append(errs, g.Pressure.Validate())
	}
	if g.Connection != nil {
		errs = append(errs, g.Connection.Validate())
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
	return errors.Join(errs...)
}

// agents are all of them in their order.
func (g *Gate) agents(relay *Relay, domains *Domains, own []smtpserver.Agent) []smtpserver.Agent {
	who := relay.Agent()
	whom := smtpserver.Agent{Name: who.Name, Rcpt: who.Rcpt}
	who.Name, who.Rcpt = "rights", nil
	all := []smtpserver.Agent{who}
	if g.Pressure != nil {
		all = append(all, g.Pressure.Agent())
	}
	all = append(all, g.strangers(domains)...)
	senders, late := g.senders(domains)
	all = append(all, senders...)
	all = append(all, whom)
	if g.Recipients != nil {
		all = append(all, g.Recipients.Agent())
	}
	if g.Greylist != nil {
		all = append(all, g.Greylist.Agent())
	}
	all = append(all, new(Loop).Agent())
	all = slices.Concat(all, spamOnly(g.Proof), late, g.Inbound, g.Rules, spamOnly(g.AntiSpam), g.Content, own, g.Outbound)
	if g.Reputation != nil { // good is what nobody has refused
		all = append(all, smtpserver.Agent{Name: "reputation", EndOfData: g.Reputation.Agent().EndOfData})
	}
	all = append(all, (&Trace{ReverseDNS: g.ReverseDNS, Resolver: g.Resolver}).Agent())
	if g.Tarpit != nil {
		all = append(all, g.Tarpit.Agent())
	}
	return all
}

// strangers are the agents that judge clients.
func (g *Gate) strangers(domains *Domains) (all []smtpserver.Agent) {
	if g.Connection != nil {
		f := *g.Connection
		if f.Resolver == nil {
			f.Resolver = g.Resolver
		}
		all = append(all, f.Agent())
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

// senders are the agents that judge senders; late are those of them that want
// to know what was proven.
func (g *Gate) senders(domains *Domains) (all, late []smtpserver.Agent) {
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
