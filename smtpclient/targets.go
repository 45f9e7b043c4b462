package smtpclient

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpclient/mtasts"
)

// target is one address of one host, with the policies that apply to it.
type target struct {
	host     Host
	network  string
	addr     string
	ip       netip.Addr
	domain   string // the domain whose published policies apply
	sts      *mtasts.Policy
	security security
	err      error // set if a policy excludes the host
	failed   bool  // the address failed before, within HostDownTime or downMemory
}

// errNoAddress means that no host of the destination has an address.
var errNoAddress = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 4}, Message: "no host of the destination has an address"}

// errNoHosts means that a Destination has no function that returns its hosts.
var errNoHosts = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 5}, Message: "Destination.Hosts is not set"}

// targets returns the addresses of dst's hosts in the order in which to try
// them. It reports and logs the hosts that a policy excludes, and returns one
// error for each in excluded.
func (t *Transport) targets(ctx context.Context, dst *Destination) (usable []target, excluded []error, err error) {
	all, err := t.candidates(ctx, dst)
	if err != nil {
		return nil, nil, err
	}
	for i := range all {
		tg := &all[i]
		if tg.err == nil {
			usable = append(usable, *tg)
			continue
		}
		if i > 0 && all[i-1].host.Name == tg.host.Name {
			continue // already reported for its first address
		}
		t.report(dst, tg, &tg.security, nil, tg.err)
		t.log(t.connector(dst), "host excluded by policy", tg.host.Name, tg.addr, tg.err)
		excluded = append(excluded, &hostError{host: tg.host.Name, addr: tg.addr, err: tg.err, excluded: true})
	}
	return t.inOrder(dst, usable), excluded, nil
}

// candidates returns all addresses of dst's hosts in order of preference. The
// IPv4 and IPv6 addresses of a host alternate.
func (t *Transport) candidates(ctx context.Context, dst *Destination) ([]target, error) {
	if dst.Hosts == nil {
		return nil, errNoHosts
	}
	hosts, err := dst.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	policies := make(map[string]*mtasts.Policy)
	var all []target
	for _, h := range hosts {
		tg := target{host: h, domain: or(h.Domain, dst.Domain)}
		sts, known := policies[tg.domain]
		if !known {
			sts = t.sts(ctx, dst, tg.domain)
			policies[tg.domain] = sts
		}
		tg.sts = sts
		tg.security, tg.err = t.security(dst, &tg.host, tg.sts)
		if h.Socket != "" {
			tg.network, tg.addr = "unix", h.Socket
			all = append(all, tg)
			continue
		}
		for _, ap := range alternate(h.Addrs) {
			tg.network, tg.addr, tg.ip = "tcp", ap.String(), ap.Addr()
			all = append(all, tg)
		}
	}
	if len(all) == 0 {
		return nil, errNoAddress
	}
	return all, nil
}

// sts returns the MTA-STS policy of a domain, or nil if none applies. A policy
// that cannot be fetched and is not cached does not apply (RFC 8461, 3.3).
func (t *Transport) sts(ctx context.Context, dst *Destination, domain string) *mtasts.Policy {
	l := t.level(dst)
	if t.MTASTS == nil || domain == "" || l != TLSOpportunistic && l != TLSEncrypt || t.policy(dst).IgnorePublished {
		return nil
	}
	p, err := t.MTASTS.Policy(ctx, domain)
	if err != nil {
		t.log(t.connector(dst), "MTA-STS policy lookup failed", domain, "", err)
		t.reportPolicyError(domain, err)
	}
	return p
}

// alternate orders a host's addresses so that IPv4 and IPv6 alternate, beginning
// with the family of the first address. If one family does not work, the other
// is tried second.
func alternate(addrs []netip.AddrPort) []netip.AddrPort {
	if len(addrs) < 3 {
		return addrs
	}
	var same, other, mixed []netip.AddrPort
	for _, a := range addrs {
		if a.Addr().Unmap().Is4() == addrs[0].Addr().Unmap().Is4() {
			same = append(same, a)
		} else {
			other = append(other, a)
		}
	}
	for len(same) > 0 || len(other) > 0 {
		if len(same) > 0 {
			mixed, same = append(mixed, same[0]), same[1:]
		}
		if len(other) > 0 {
			mixed, other = append(mixed, other[0]), other[1:]
		}
	}
	return mixed
}

// inOrder sorts addresses from the order of preference to the order in which one
// Send tries them.
//
// Addresses that failed before must not use up MaxAddrs each time while a host
// after them works. Therefore only one of them keeps its place, to find out
// whether it works again: the one with the oldest failure. The others come after
// the addresses without a known failure. Addresses that failed within
// HostDownTime come last.
func (t *Transport) inOrder(dst *Destination, list []target) []target {
	now, key := time.Now(), t.key(dst)
	fails := make([]failure, len(list))
	retry := -1 // the failed address that keeps its place
	for i := range list {
		f := t.down.last(now, downKey{addr: list[i].addr}, downKey{list[i].addr, key})
		fails[i] = f
		if f.suspect(now) && (retry < 0 || f.at.Before(fails[retry].at)) {
			retry = i
		}
	}
	var first, last []target
	var suspects []int
	for i, f := range fails {
		switch {
		case now.Before(f.until):
			list[i].failed = true
			last = append(last, list[i])
		case i != retry && f.suspect(now):
			list[i].failed = true
			suspects = append(suspects, i)
		default:
			first = append(first, list[i])
		}
	}
	slices.SortStableFunc(suspects, func(i, j int) int { return fails[i].at.Compare(fails[j].at) })
	first = balance(first, or(t.MaxAddrs, 5))
	for _, i := range suspects {
		first = append(first, list[i])
	}
	return append(first, last...)
}

// balance moves addresses forward so that the first limit addresses contain both
// families, up to half of each (as Postfix smtp_balance_inet_protocols).
// Otherwise hosts with addresses of a family that does not work here would hide
// the other hosts. The order within a family does not change.
func balance(list []target, limit int) []target {
	if len(list) <= limit {
		return list
	}
	var front, all [2]int // addresses among the first limit, and all, by family
	for i := range list {
		f := list[i].family()
		if all[f]++; i < limit {
			front[f]++
		}
	}
	quota := front
	for f := range quota {
		if want := min(limit/2, all[f]); front[f] < want {
			quota[f], quota[1-f] = want, limit-want
		}
	}
	var head, tail []target
	for _, tg := range list {
		if f := tg.family(); quota[f] > 0 {
			quota[f]--
			head = append(head, tg)
		} else {
			tail = append(tail, tg)
		}
	}
	return append(head, tail...)
}

// family returns 1 for IPv4, and 0 for IPv6 and sockets.
func (tg *target) family() int {
	if tg.ip.Unmap().Is4() {
		return 1
	}
	return 0
}
