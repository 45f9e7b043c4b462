package spf

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// Check calls the Check method of a zero [Checker], which uses
// net.DefaultResolver.
func Check(ctx context.Context, ip netip.Addr, helo, mailFrom string) Verdict {
	return new(Checker).Check(ctx, ip, helo, mailFrom)
}

// Check checks whether the policy of the sender's domain authorizes the host with
// the address ip and the HELO name helo. The sender is mailFrom, the
// reverse-path. If mailFrom is empty, the sender is postmaster at the HELO name
// (RFC 7208, 2.4).
//
// helo is the name as received (smtpserver.Session.RawHelo). A name that is not
// a domain has no policy. Macros and the verdict contain the HELO name in the
// form of smtpserver.Session.Helo.
//
// Check obeys the limits on DNS queries of RFC 7208, 4.6.4. It returns within
// Timeout. It is safe for concurrent use.
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
	e.local, e.domain = addr.Split(mailFrom)
	e.domain = aLabels(strings.TrimSuffix(e.domain, "."))
	if mailFrom == "" {
		e.domain = helo
	}
	if e.local == "" {
		e.local = "postmaster" // RFC 7208, 4.3
	}
	v.Domain, v.Sender = e.domain, e.local+"@"+e.domain
	if mailFrom == "" && e.helo != helo { // not a host name: the verdict has its safe form
		v.Domain, v.Sender = e.helo, e.local+"@"+e.helo
		v.Result, v.Err = None, errors.New("spf: the HELO name is not a domain")
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

// aLabels returns the A-label form of a domain (RFC 7208, 4.3; RFC 8616). It
// returns a domain that has no such form unchanged.
func aLabels(domain string) string {
	if chars.ASCII(domain) {
		return domain
	}
	if a, err := addr.Domain(domain); err == nil {
		return a
	}
	return domain
}
