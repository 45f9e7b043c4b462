package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A NameAction is what a [ClientName] does when a rule applies.
type NameAction int

const (
	NameIgnore NameAction = iota // nothing
	NameTag                      // adds the field ClientName.Field to the message
	NameDelay                    // delays the first RCPT by ClientName.Delay, and adds the field
	NameDefer                    // 450: the client tries again later
	NameRefuse                   // 550
)

// ClientName checks the names of clients: whether the address of the client has
// a reverse-DNS (PTR) name, whether such a name resolves back to the address,
// and whether the client greets with it. Each rule has its own action. The zero
// value does nothing. It decides at RCPT, so that the client can
// authenticate first. It skips sessions that have the right BypassAntiSpam.
//
// A DNS server that does not answer is not a missing name. If a rule could
// refuse or defer the client, the reply is then 451 4.4.3; otherwise the rule
// does not apply.
//
// Many hosts of legitimate senders greet with another name than that of their
// PTR record. RFC 5321, 4.1.4 allows this, and says that a server must not
// refuse mail for this reason alone. Tag or delay is the usual action for Helo.
type ClientName struct {
	// NoPTR applies to a client whose address has no PTR record. The reply is 450
	// 4.7.25 or 550 5.7.25 (RFC 7372, 3.3).
	NoPTR NameAction
	// Unconfirmed applies to a client whose address has PTR records, but none of
	// the names resolves to the address. The replies are those of NoPTR.
	Unconfirmed NameAction
	// Helo applies to a client whose HELO name is not one of its confirmed PTR
	// names. An address literal with the client's own address is accepted. The reply is
	// 450 4.7.1 or 550 5.7.1.
	Helo NameAction
	// HeloForward accepts also a HELO name that resolves to the client's address.
	HeloForward bool
	// Except are clients that are not checked. Internal are the organization's
	// own relays and firewalls that forward mail from outside: for their mail, the
	// address and the HELO name from which they received it are checked at the end
	// of the header (see [Origin]), and NameDelay does not wait.
	Except, Internal *Networks
	// ExceptRecipients are recipients that get mail from every client, for
	// example postmaster. An entry is an address, or a local part in all domains.
	ExceptRecipients []string
	// Delay is the wait of NameDelay. Default 10 s.
	Delay time.Duration
	// Field is the name of the field of NameTag and NameDelay. Its value has the
	// rules that apply: "no-ptr", "unconfirmed", "helo-mismatch". A field of this
	// name that the client has sent is removed. Default X-Client-Name.
	Field string
	// Resolver looks up names in the DNS. Default: that of the Gate or of the
	// gateway.Gateway. If there is none, a zero NetResolver.
	Resolver Resolver
}

const defaultNameField = "X-Client-Name"

// Validate returns an error that names each wrong setting.
func (c *ClientName) Validate() error {
	errs := checkAddresses("ClientName.ExceptRecipients", c.ExceptRecipients)
	for _, rule := range []struct {
		name   string
		action NameAction
	}{{"NoPTR", c.NoPTR}, {"Unconfirmed", c.Unconfirmed}, {"Helo", c.Helo}} {
		if rule.action < NameIgnore || rule.action > NameRefuse {
			errs = append(errs, fmt.Errorf("policy: ClientName.%s: no such action (%d)", rule.name, rule.action))
		}
	}
	if c.HeloForward && c.Helo == NameIgnore {
		errs = append(errs, errors.New("policy: ClientName.HeloForward has no effect without Helo"))
	}
	if c.Delay < 0 {
		errs = append(errs, fmt.Errorf("policy: ClientName.Delay is negative (%v)", c.Delay))
	}
	if c.Field != "" {
		if err := header.CheckName(c.Field); err != nil {
			errs = append(errs, fmt.Errorf("policy: ClientName.Field: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Agent returns the agent. It decides at RCPT, adds the field at the end of the
// header, and decides there for mail from Internal.
func (c *ClientName) Agent() smtpserver.Agent {
	j := &nameChecker{c: *c, except: addressSet(c.ExceptRecipients)}
	setDefault(&j.c.Delay, 10*time.Second)
	if j.c.Field == "" {
		j.c.Field = defaultNameField
	}
	return Unless(BypassAntiSpam, smtpserver.Agent{Name: "client name",
		Inherit: func(d smtpserver.Defaults) { d.FillResolver(&j.c.Resolver) }, Rcpt: j.rcpt, EndOfHeaders: j.endOfHeaders})
}

// nameChecker is the prepared form of a ClientName.
type nameChecker struct {
	c      ClientName
	except map[string]bool
}

// nameResult is the result for an address and a HELO name, kept for the session.
type nameResult struct {
	ip      netip.Addr
	helo    string
	rules   []string // that apply
	action  NameAction
	err     error
	delayed bool
}

func (j *nameChecker) rcpt(ctx context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
	ip, ok := clientIP(s)
	if !ok || j.c.Except.Contains(ip) || j.c.Internal.Contains(ip) || inAddressSet(j.except, to) {
		return nil
	}
	r := j.check(ctx, s, ip, s.RawHelo())
	if r.action == NameDelay && !r.delayed {
		r.delayed = true
		wait(ctx, s, j.c.Delay)
	}
	return r.err
}

// endOfHeaders adds the field. It decides about mail that comes through Internal,
// unless all its recipients are in ExceptRecipients.
func (j *nameChecker) endOfHeaders(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	if j.c.NoPTR == NameIgnore && j.c.Unconfirmed == NameIgnore && j.c.Helo == NameIgnore {
		return nil
	}
	m.Header.Delete(func(f smtpserver.Field) bool { return f.Is(j.c.Field) })
	client, _ := clientIP(s)
	ip, helo := origin(s, m, j.c.Internal)
	if !ip.IsValid() || j.c.Except.Contains(ip) {
		return nil
	}
	r := j.check(ctx, s, ip, helo)
	if ip != client && r.err != nil && slices.ContainsFunc(m.Recipients, func(to smtpserver.Recipient) bool { return !inAddressSet(j.except, to.Addr) }) {
		return r.err
	}
	if len(r.rules) == 0 {
		return nil
	}
	return m.Header.Prepend(j.c.Field + ": " + strings.Join(r.rules, ", ") + "\r\n")
}

// check checks each address with its HELO name once in a session. helo is empty
// if the name is not known.
func (j *nameChecker) check(ctx context.Context, s *smtpserver.Session, ip netip.Addr, helo string) *nameResult {
	r, _ := s.Value(j).(*nameResult)
	if r == nil || r.ip != ip || r.helo != helo {
		r = &nameResult{ip: ip, helo: helo}
		j.decide(ctx, s, r)
		s.SetValue(j, r)
	}
	return r
}

var (
	errNoPTR       = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 25}, Message: "Your address has no reverse DNS name"}
	errUnconfirmed = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 25}, Message: "The reverse DNS name of your address does not resolve to your address"}
	errHelo        = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Your HELO name is not the reverse DNS name of your address"}
	errNameDown    = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 3}, Message: "The name of your address cannot be looked up at present, try again later"}
)

func (j *nameChecker) decide(ctx context.Context, s *smtpserver.Session, r *nameResult) {
	if j.c.NoPTR == NameIgnore && j.c.Unconfirmed == NameIgnore && r.ifHelo(j.c.Helo) == NameIgnore {
		return
	}
	claimed, err := claimedNames(ctx, j.c.Resolver, r.ip)
	if err != nil {
		r.unknown(err, j.c.NoPTR, j.c.Unconfirmed, r.ifHelo(j.c.Helo))
		return
	}
	var confirmed []string
	switch {
	case len(claimed) == 0:
		r.apply(j.c.NoPTR, "no-ptr", errNoPTR)
	case j.c.Unconfirmed != NameIgnore || j.c.Helo != NameIgnore:
		if confirmed, err = hostNames(ctx, s, j.c.Resolver, r.ip); err != nil && len(confirmed) == 0 {
			r.unknown(err, j.c.Unconfirmed, r.ifHelo(j.c.Helo))
			return
		}
		if len(confirmed) == 0 {
			r.apply(j.c.Unconfirmed, "unconfirmed", errUnconfirmed)
		}
	}
	if j.c.Helo == NameIgnore || r.helo == "" {
		return
	}
	fits, down := j.heloFits(ctx, r, confirmed)
	switch {
	case fits:
	case err != nil || down != nil: // one of the other names may be the HELO name
		r.unknown(errors.Join(err, down), j.c.Helo)
	default:
		r.apply(j.c.Helo, "helo-mismatch", errHelo)
	}
}

// heloFits reports whether the client may greet with the name. err is an error of
// the DNS.
func (j *nameChecker) heloFits(ctx context.Context, r *nameResult, confirmed []string) (ok bool, err error) {
	if literal, is := strings.CutPrefix(r.helo, "["); is {
		own, valid := parseIP(strings.TrimSuffix(literal, "]"))
		return valid && own == r.ip, nil
	}
	name, err := addr.Domain(strings.TrimSuffix(r.helo, "."))
	if err != nil {
		return false, nil
	}
	if slices.Contains(confirmed, name) {
		return true, nil
	}
	if !j.c.HeloForward {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	family := resolver.TypeA
	if r.ip.Is6() {
		family = resolver.TypeAAAA
	}
	addrs, err := resolver.Addrs(ctx, j.c.Resolver, name, family)
	if resolver.IsNotFound(err) {
		err = nil
	}
	return slices.Contains(addrs, r.ip), err
}

// apply records that a rule applies. The first refusal is the reply, unless a
// later rule refuses for good.
func (r *nameResult) apply(a NameAction, rule string, e *smtp.SMTPError) {
	if a == NameIgnore {
		return
	}
	r.rules = append(r.rules, rule)
	if a <= r.action {
		return
	}
	r.action = a
	switch a {
	case NameRefuse:
		r.err = e
	case NameDefer:
		later := *e
		later.Code, later.EnhancedCode[0] = 450, 4
		r.err = &later
	}
}

// unknown records that the DNS does not answer, so that rules with these actions
// cannot be checked.
func (r *nameResult) unknown(err error, actions ...NameAction) {
	if r.err == nil && slices.ContainsFunc(actions, func(a NameAction) bool { return a >= NameDefer }) {
		r.err = fmt.Errorf("%w: %w", errNameDown, err)
	}
}

// ifHelo returns a, or NameIgnore if the HELO name is not known.
func (r *nameResult) ifHelo(a NameAction) NameAction {
	if r.helo == "" {
		return NameIgnore
	}
	return a
}
