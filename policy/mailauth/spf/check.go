package spf

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// Check asks the sender's policy with a zero [Checker], whose resolver is
// net.DefaultResolver.
func Check(ctx context.Context, ip netip.Addr, helo, mailFrom string) Verdict {
	return new(Checker).Check(ctx, ip, helo, mailFrom)
}

// Check says what the policy of the sender's domain says about the host at ip
// that called itself helo. The sender is mailFrom, the reverse-path, or,
// where that is null, postmaster at the HELO name (RFC 7208, 2.4). It never
// asks DNS for more than the RFC's limits allow, and never takes longer than
// Timeout. The HELO name is as received (smtpserver.Session.RawHelo): one that
// is no domain has no policy, and macros and the verdict have it in the form of
// smtpserver.Session.Helo.
func (c *Checker) Check(ctx context.Context, ip netip.Addr, helo, mailFrom string) Verdict {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second // RFC 7208, 4.6.4
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	ip = ip.Unmap().WithZone("")
	v := Verdict{Helo: mailFrom == "", IP: ip}
	helo = aLabels(strings.TrimSuffix(helo, "."))
	e := &evaluation{ctx: ctx, resolver: c.Resolver, ip: ip, helo: addr.SafeHelo(helo), receiver: c.Receiver}
	if e.resolver == nil {
		e.resolver = net.DefaultResolver
	}
	e.local, e.domain = addr.Split(mailFrom)
	e.domain = aLabels(strings.TrimSuffix(e.domain, "."))
	if mailFrom == "" {
		e.domain = helo
	}
	if e.local == "" {
		e.local = "postmaster" // RFC 7208, 4.3
	}
	v.Domain, v.Sender = e.domain, e.local+"@"+e.domain
	if mailFrom == "" && e.helo != helo { // a name, but of no host: it is shown in its safe form
		v.Domain, v.Sender = e.helo, e.local+"@"+e.helo
		v.Result, v.Err = None, errors.New("spf: the HELO name is no domain")
		return v
	}
	if !ip.IsValid() {
		v.Result, v.Err = None, errors.New("spf: the client has no IP address")
		return v
	}
	o := e.checkHost(e.domain)
	v.Result, v.Term, v.Err = o.result, o.term, o.err
	if v.Result == Fail {
		v.Explanation = e.explain(o.exp, o.domain)
	}
	return v
}

// aLabels is the A-label form of a domain (RFC 7208, 4.3; RFC 8616), or the
// domain as it is where it has none.
func aLabels(domain string) string {
	if chars.ASCII(domain) {
		return domain
	}
	if a, err := addr.Domain(domain); err == nil {
		return a
	}
	return domain
}
