package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// ConnectionFilter refuses mail because of the address of the client: 550
// 5.7.1. It decides at RCPT, so that the client can authenticate first. It
// skips sessions that have the right BypassAntiSpam. It checks its own lists
// first, then the DNS lists. In each of the two steps, an allow list has
// priority over a block list.
type ConnectionFilter struct {
	// Allow (networks) and AllowHosts (confirmed reverse-DNS names,
	// "mx.example.net" or "*.example.net") are clients that the filter never
	// refuses. Their sessions get the right BypassAntiSpam.
	Allow      *Networks
	AllowHosts []string
	// Block (networks) and BlockHosts (reverse-DNS names, confirmed or not)
	// are clients that the filter refuses.
	Block      *Networks
	BlockHosts []string
	// Internal are the organization's own relays and firewalls that forward
	// mail from outside. The filter does not check them. At the end of the
	// header it checks the address from which they received the mail; see
	// [OriginIP]. Do not add them to Relay.Networks: the filter does not check
	// clients that may relay. Every client whose mail a firewall forwards could
	// then relay, because the mail comes from the address of the firewall.
	Internal *Networks
	// AllowLists and BlockLists are DNS lists. If a client is on an allow list,
	// the filter does not refuse it. Otherwise the filter adds up the weights
	// of all block lists that the client is on, and refuses the client if the
	// sum is Threshold or more. The default Threshold is 1. Results are cached
	// for one minute.
	AllowLists []DNSList
	BlockLists []DNSList
	Threshold  int
	// ExceptRecipients are recipients that get mail from every client, for
	// example postmaster and abuse. An entry is an address, or a local part in
	// all domains.
	ExceptRecipients []string
	// Resolver looks up names in the DNS. Default: that of the Gate or of the
	// gateway.Gateway. If there is none, a zero NetResolver.
	Resolver Resolver
}

// Validate returns an error that names each wrong setting.
func (f *ConnectionFilter) Validate() error {
	_, err := f.prepare()
	return err
}

// Agent returns the agent. It decides at RCPT and, for mail from Internal, at
// the end of the header. Settings that Validate reports have no effect.
func (f *ConnectionFilter) Agent() smtpserver.Agent {
	j, _ := f.prepare()
	return Unless(BypassAntiSpam, smtpserver.Agent{Name: "connection filter", Inherit: j.inherit, Mail: j.mail, Rcpt: j.rcpt, EndOfHeaders: j.endOfHeaders})
}

func (f *ConnectionFilter) prepare() (*connectionChecker, error) {
	j := &connectionChecker{f: *f, except: addressSet(f.ExceptRecipients)}
	j.lists = bounded[netip.Addr, listAnswer]{max: maxListAnswers, used: func(a *listAnswer) int64 { return a.at.Unix() }}
	if f.Threshold == 0 {
		j.f.Threshold = 1
	}
	errs := checkAddresses("ConnectionFilter.ExceptRecipients", f.ExceptRecipients)
	j.f.AllowHosts, errs = patterns("ConnectionFilter.AllowHosts", f.AllowHosts, errs)
	j.f.BlockHosts, errs = patterns("ConnectionFilter.BlockHosts", f.BlockHosts, errs)
	j.f.AllowLists, errs = validLists(f.AllowLists, errs)
	j.f.BlockLists, errs = validLists(f.BlockLists, errs)
	return j, errors.Join(errs...)
}

func validLists(lists []DNSList, errs []error) ([]DNSList, []error) {
	var valid []DNSList
	for _, l := range lists {
		zone, err := addr.HostName(l.Zone)
		if err != nil || len(zone) > 180 { // 255 octets less 64 for the nibbles
			errs = append(errs, fmt.Errorf("policy: DNS list %q: not a domain name", l.Zone))
			continue
		}
		l.Zone, l.test = zone, new(listTest)
		valid = append(valid, l)
	}
	return valid, errs
}

// connectionChecker is the prepared form of a ConnectionFilter.
type connectionChecker struct {
	f      ConnectionFilter
	except map[string]bool

	mu    sync.Mutex // guards the fields below
	lists bounded[netip.Addr, listAnswer]
}

// listAnswer is the cached result of the DNS lists for one address.
type listAnswer struct {
	at  time.Time
	err error
}

const (
	listAnswerLife = time.Minute
	maxListAnswers = 10_000
)

var (
	errBlocked = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Mail from your address is not accepted here"}
	errList    = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 3}, Message: "Your address cannot be checked at present, try again later"}
)

// connectionResult is the result for an address, cached for the session.
type connectionResult struct {
	ip      netip.Addr
	allowed bool
	err     error
}

// mail gives the right to skip other agents to clients in Allow. It makes no
// DNS lookup.
func (j *connectionChecker) mail(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
	if ip, ok := clientIP(s); ok && j.f.Allow.Contains(ip) && !j.f.Internal.Contains(ip) {
		addRights(s, ip, BypassAntiSpam)
	}
	return nil
}

func (j *connectionChecker) rcpt(ctx context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
	ip, ok := clientIP(s)
	if !ok || j.f.Internal.Contains(ip) || inAddressSet(j.except, to) {
		return nil
	}
	return j.check(ctx, s, ip)
}

// endOfHeaders checks mail that comes through Internal, unless all its
// recipients are in ExceptRecipients.
func (j *connectionChecker) endOfHeaders(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	if ip, ok := clientIP(s); !ok || !j.f.Internal.Contains(ip) {
		return nil
	}
	ip, ok := OriginIP(s, m, j.f.Internal)
	if !ok || !slices.ContainsFunc(m.Recipients, func(r smtpserver.Recipient) bool { return !inAddressSet(j.except, r.Addr) }) {
		return nil
	}
	return j.check(ctx, s, ip)
}

// check checks each address once in a session.
func (j *connectionChecker) check(ctx context.Context, s *smtpserver.Session, ip netip.Addr) error {
	v, _ := s.Value(j).(*connectionResult)
	if v == nil || v.ip != ip {
		v = &connectionResult{ip: ip}
		v.allowed, v.err = j.decide(ctx, s, ip)
		s.SetValue(j, v)
	}
	if own, _ := clientIP(s); v.allowed && own == ip {
		addRights(s, ip, BypassAntiSpam)
	}
	return v.err
}

// decide checks an address. allowed reports whether Allow or AllowHosts has
// it.
func (j *connectionChecker) decide(ctx context.Context, s *smtpserver.Session, ip netip.Addr) (allowed bool, err error) {
	if j.f.Allow.Contains(ip) {
		return true, nil
	}
	blocked := j.f.Block.Contains(ip)
	if len(j.f.AllowHosts) > 0 {
		names, err := hostNames(ctx, s, j.f.Resolver, ip)
		if matchAny(j.f.AllowHosts, names) {
			return true, nil
		}
		if blocked && err != nil {
			return false, fmt.Errorf("%w: %w", errList, err)
		}
	}
	if blocked {
		return false, errBlocked
	}
	if err := j.blockedHost(ctx, ip); err != nil {
		return false, err
	}
	return false, j.listed(ctx, ip)
}

// listed returns the result of the DNS lists, cached for one minute. It does
// not cache temporary errors.
func (j *connectionChecker) listed(ctx context.Context, ip netip.Addr) error {
	if len(j.f.AllowLists)+len(j.f.BlockLists) == 0 {
		return nil
	}
	j.mu.Lock()
	if a := j.lists.m[ip]; a != nil && time.Since(a.at) < listAnswerLife {
		defer j.mu.Unlock()
		return a.err
	}
	j.mu.Unlock()
	err := j.decideLists(ctx, ip)
	if !errors.Is(err, errList) {
		j.mu.Lock()
		defer j.mu.Unlock()
		a, _ := j.lists.get(ip)
		*a = listAnswer{time.Now(), err}
	}
	return err
}

func (j *connectionChecker) blockedHost(ctx context.Context, ip netip.Addr) error {
	if len(j.f.BlockHosts) == 0 {
		return nil
	}
	names, err := claimedNames(ctx, j.f.Resolver, ip)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errList, err)
	case matchAny(j.f.BlockHosts, names):
		return errBlocked
	}
	return nil
}

// decideLists asks the DNS lists. If a list does not answer, the client gets a
// temporary error only if the answer could change the result.
func (j *connectionChecker) decideLists(ctx context.Context, ip netip.Addr) error {
	lists := slices.Concat(j.f.AllowLists, j.f.BlockLists)
	var first *DNSList
	var failed, allowFailed error
	sum, unknown := 0, 0
	for i, a := range askLists(ctx, j.f.Resolver, ip, lists) {
		allow := i < len(j.f.AllowLists)
		switch {
		case a.listed && allow:
			return nil
		case a.listed:
			if sum += a.list.weight(); first == nil {
				first = a.list
			}
		case a.err == nil || a.list.Optional:
		case allow:
			allowFailed = a.err
		default:
			failed = a.err
			unknown += max(a.list.weight(), 0)
		}
	}
	switch {
	case sum >= j.f.Threshold && allowFailed == nil:
		return first.refusal(ip)
	case sum >= j.f.Threshold:
		return fmt.Errorf("%w: %w", errList, allowFailed)
	case sum+unknown >= j.f.Threshold:
		return fmt.Errorf("%w: %w", errList, failed)
	}
	return nil
}
