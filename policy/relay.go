package policy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Relay decides at RCPT who may reach whom. Recipients in the accepted
// domains may be reached by everybody, where the domain's Directory knows
// them; all others only by the clients named here. The zero value relays for
// nobody.
type Relay struct {
	// Domains are the accepted domains; nil accepts none.
	Domains *Domains
	// Networks are the clients that may relay by their address alone.
	Networks []netip.Prefix
	// Authenticated lets every client relay that has proved its identity.
	Authenticated bool
	// DangerouslyRelayForEveryone allows Networks to hold the internet or a
	// large part of it ("0.0.0.0/0", "::/0", "128.0.0.0/1"). Without it a
	// network wider than an IPv4 /8 or an IPv6 /16 is an error, and opens
	// nothing.
	DangerouslyRelayForEveryone bool
}

// Validate tells what is wrong with the settings, naming it.
func (r *Relay) Validate() error {
	var errs []error
	for _, p := range r.Networks {
		switch {
		case !p.IsValid():
			errs = append(errs, fmt.Errorf("policy: relay network %v: not a valid prefix", p))
		case tooWide(p) && !r.DangerouslyRelayForEveryone:
			errs = append(errs, fmt.Errorf("policy: relay network %v holds a large part of the internet: that would be an open relay", p))
		}
	}
	return errors.Join(errs...)
}

// tooWide tells a network that no organisation has. ::ffff:0:0/96 is the
// whole of IPv4.
func tooWide(p netip.Prefix) bool {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return p.Bits() < 96+8
	}
	return p.Addr().Is4() && p.Bits() < 8 || !p.Addr().Is4() && p.Bits() < 16
}

// Agent judges at RCPT. Networks that Validate finds fault with open nothing.
func (r *Relay) Agent() smtpserver.Agent {
	c := *r
	c.Networks = nil
	for _, p := range r.Networks {
		if !p.IsValid() || tooWide(p) && !r.DangerouslyRelayForEveryone {
			continue
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 { // clients are compared as IPv4
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		c.Networks = append(c.Networks, p)
	}
	return smtpserver.Agent{Name: "relay", Rcpt: c.rcpt}
}

// Replies of the relay policy.
var (
	errRelay     = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Unable to relay"}
	errUnknown   = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "User unknown"}
	errDirectory = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Recipient cannot be verified at present, try again later"}
)

func (r *Relay) rcpt(ctx context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
	if err := r.judge(ctx, s, r.Domains.qualify(to)); err != nil {
		return err
	}
	Admit(s, to)
	return nil
}

func (r *Relay) judge(ctx context.Context, s *smtpserver.Session, to string) error {
	trusted := r.trusts(s)
	local, domain := addr.Split(to)
	d := r.Domains.Lookup(domain)
	if d == nil {
		if trusted {
			return nil
		}
		return errRelay
	}
	if strings.EqualFold(local, "postmaster") { // RFC 5321, 4.5.1: always there
		return nil
	}
	known := false
	if d.Directory != nil && d.Kind != ExternalRelay {
		var err error
		if known, err = d.Directory.Exists(ctx, to); err != nil {
			return fmt.Errorf("%w: directory of %s: %w", errDirectory, d.Name, err)
		}
		if !known && d.Kind == Authoritative {
			return errUnknown
		}
	}
	if !known && !trusted && routed(local) {
		return errRelay
	}
	return nil
}

// routed tells a local part that asks the host behind us to relay on:
// user%elsewhere@here, elsewhere!user@here, "user@elsewhere"@here. What the
// client may not ask of us it may not ask of our neighbour in our name.
func routed(local string) bool { return strings.ContainsAny(local, "%!@") }

// trusts says whether the client may reach recipients outside the accepted
// domains.
func (r *Relay) trusts(s *smtpserver.Session) bool {
	if r.Authenticated && s.Identity() != "" {
		return true
	}
	ip, ok := clientIP(s)
	return ok && slices.ContainsFunc(r.Networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// clientIP is the client's address, IPv4 in its own form, zone removed.
func clientIP(s *smtpserver.Session) (netip.Addr, bool) {
	a, ok := s.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	return ip.Unmap(), ok
}
