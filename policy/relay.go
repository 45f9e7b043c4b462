package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Relay decides at MAIL which clients may send mail, and at RCPT to which
// recipients. Every client may send to recipients in the accepted domains that
// the domain's Directory lists. Only the clients that are selected here may
// send to other recipients. The zero value relays for no client.
type Relay struct {
	// Domains are the accepted domains. Nil means none.
	Domains *Domains
	// Networks are the clients that may relay without authentication, because
	// of their address. They get the rights AnonymousUsers, AcceptAnyRecipient
	// and BypassAntiSpam.
	Networks []netip.Prefix
	// Authenticated allows every authenticated client to relay. Such a client
	// gets the rights ExchangeUsers and AcceptAuthoritativeDomainSender. The
	// server must have an Auth.
	Authenticated bool
	// Grants give rights to classes of clients. Nil means [DefaultGrants].
	// Networks and Authenticated add rights in both cases.
	Grants []Grant
	// Resolver finds host names for Clients.Hosts. Default: that of the Gate or
	// of the gateway.Gateway. If there is none, a zero NetResolver.
	Resolver Resolver
	// DSNForEveryone offers delivery status notifications (DSN, RFC 3461) to
	// all clients. Default: they are for known clients, which are those that
	// have authenticated and those with the right AcceptAnyRecipient. A
	// stranger could otherwise send reports, with a subject of its choice, to a
	// forged sender. The server announces DSN to known clients, and where it
	// offers AUTH, because a client sends EHLO before it authenticates. There
	// it accepts the parameters from all clients. But for clients that are
	// still unknown, NOTIFY=SUCCESS has no effect: no success is reported, and
	// the next hop does not get it. The rest of NOTIFY has its effect.
	DSNForEveryone bool
	// DangerouslyRelayForEveryone allows settings that let unknown clients
	// relay: networks that contain the internet or a large part of it
	// ("0.0.0.0/0", "::/0", "128.0.0.0/1"), AcceptAnyRecipient for everyone,
	// and similar settings. Without it such a setting is an error and has no
	// effect.
	DangerouslyRelayForEveryone bool
}

// Agent returns the agent. It decides at MAIL and RCPT, and gives the session
// its rights (see [RightsOf]). Settings that Validate reports give no right to
// relay.
func (r *Relay) Agent() smtpserver.Agent {
	j := r.checker()
	return smtpserver.Agent{Name: "relay", Inherit: j.inherit, Connect: j.connect, Helo: j.helo, Auth: j.connect, Mail: j.mail, Rcpt: j.rcpt}
}

func (r *Relay) checker() *relayChecker {
	g, _ := r.prepare()
	return &relayChecker{domains: r.Domains, grants: g, dsnForEveryone: r.DSNForEveryone}
}

// DefaultGrants returns the rights that are necessary to send to the accepted domains:
// everyone gets Submit and AcceptRoutingHeaders, and clients that are not authenticated
// also get AcceptAnySender.
func DefaultGrants() []Grant {
	return []Grant{
		{To: Clients{Everyone: true}, Rights: Submit | AcceptRoutingHeaders},
		{To: Clients{Anonymous: true}, Rights: AcceptAnySender},
	}
}

// all returns the grants, including those of Networks and Authenticated.
func (r *Relay) all() []Grant {
	all := r.Grants
	if all == nil {
		all = DefaultGrants()
	}
	all = all[:len(all):len(all)]
	if len(r.Networks) > 0 {
		all = append(all, Grant{To: Clients{Networks: r.Networks}, Rights: AnonymousUsers | AcceptAnyRecipient | BypassAntiSpam})
	}
	if r.Authenticated {
		all = append(all, Grant{To: Clients{Authenticated: true}, Rights: ExchangeUsers | AcceptAuthoritativeDomainSender})
	}
	return all
}

// prepare checks and prepares the grants. A grant that would make an open
// relay loses the right AcceptAnyRecipient.
func (r *Relay) prepare() (*grants, error) {
	g := &grants{resolver: r.Resolver}
	var errs []error
	for i, grant := range r.all() {
		wide := r.wide(&grant)
		if len(wide) > 0 {
			grant.Rights &^= AcceptAnyRecipient
		}
		to, wrong := grant.To.prepare()
		for _, err := range append(wide, wrong...) {
			if i < len(r.Grants) {
				err = fmt.Errorf("policy: Grants[%d]: %s", i, strings.TrimPrefix(err.Error(), "policy: "))
			}
			errs = append(errs, err)
		}
		g.add(to, grant.Rights)
	}
	return g, errors.Join(errs...)
}

// Replies of the relay policy.
var (
	errRelay      = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Unable to relay"}
	errUnknown    = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "User unknown"}
	errAmbiguous  = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 4}, Message: "The recipient's address is ambiguous"}
	errDirectory  = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "The recipient cannot be verified at present, try again later"}
	errPostmaster = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No accepted domain has a postmaster"}
	errSubmit     = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "You may not send mail here"}
	errAuth       = &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"} // RFC 4954, 6
	errHostName   = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 3}, Message: "Your host name cannot be looked up at present, try again later"}
)

// relayChecker is the prepared form of a Relay.
type relayChecker struct {
	domains        *Domains
	grants         *grants
	dsnForEveryone bool
}

// inherit sets the resolver if it is not set, and passes the settings to the
// directories.
func (j *relayChecker) inherit(d smtpserver.Defaults) {
	d.FillResolver(&j.grants.resolver)
	j.domains.inherit(d)
}

// connect computes the rights for other agents, and removes the size limit if
// the rights allow it.
func (j *relayChecker) connect(ctx context.Context, s *smtpserver.Session) error {
	st := j.grants.of(s)
	for _, g := range j.grants.list {
		if g.rights&BypassMessageSizeLimit != 0 {
			if rights, _ := st.get(ctx, s); rights&BypassMessageSizeLimit != 0 {
				s.SetMaxMessageSize(0)
			}
			break
		}
	}
	return nil
}

// helo computes the rights again, because they may depend on TLS.
func (j *relayChecker) helo(ctx context.Context, s *smtpserver.Session, _ string) error {
	s.SetDSN(j.offersDSN(ctx, s))
	return j.connect(ctx, s)
}

func (j *relayChecker) mail(ctx context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
	rights, err := j.grants.of(s).get(ctx, s)
	switch {
	case rights&Submit != 0:
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", errHostName, err)
	case s.Identity() == "" && s.Server().Auth != nil:
		return errAuth
	}
	return errSubmit
}

func (j *relayChecker) rcpt(ctx context.Context, s *smtpserver.Session, to string, o *smtp.RcptOptions) error {
	rights, rightsErr := j.grants.of(s).get(ctx, s)
	a, err := j.admission(ctx, to, rights&AcceptAnyRecipient != 0)
	if err != nil {
		if rightsErr != nil && errors.Is(err, errRelay) {
			return fmt.Errorf("%w: %w", errHostName, rightsErr)
		}
		return err
	}
	admit(s, a)
	if !j.mayUseDSN(ctx, s) {
		o.Notify = withoutSuccess(o.Notify)
	}
	return nil
}

// admission decides about one recipient.
func (j *relayChecker) admission(ctx context.Context, to string, trusted bool) (admission, error) {
	a := admission{to: to, as: j.domains.qualify(to)}
	local, domain := addr.Split(a.as)
	d := j.domains.Lookup(domain)
	switch {
	case d != nil:
	case !trusted:
		return a, errRelay
	case domain == "": // it cannot be routed
		return a, errPostmaster
	default:
		return a, nil
	}
	if isPostmaster(local) && !registrable(d.Name) { // RFC 5321, 4.5.1: postmaster always exists
		return a, nil
	}
	r, err := d.resolve(ctx, a.as)
	if err != nil {
		return a, err
	}
	if !trusted && r.as == a.as && routed(local) {
		listed, err := d.lists(ctx, r, local, domain)
		if err != nil {
			return a, err
		}
		if !listed {
			return a, errRelay
		}
	}
	a.as, a.route = r.as, r.route
	return a, nil
}
