package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// Limits of a Check. Further domains and hosts are not checked, and a finding
// says so.
const (
	checkTime    = 30 * time.Second
	checkDomains = 100
	checkAddrs   = 8 // of our name
	checkAtOnce  = 8
)

// Check checks the settings, as [Gateway.Validate] does, and then the systems
// outside of the relay:
//
//   - its host name: the addresses, the names of the addresses (PTR), and the MX
//     records
//   - the MX records of each accepted domain
//   - the smart hosts: their addresses, and a session with each of them, with
//     EHLO, STARTTLS and AUTH, but without mail (if the Deliverer is a
//     routing.Router)
//
// It returns the findings in this order: the settings, the host name, the
// domains, the smart hosts. Errors, warnings and notes are not sorted. Check ends
// when ctx ends, and takes at most 30 seconds. It checks at most 100 domains and
// 100 smart hosts; a finding reports that there are more. What could not be
// checked is a finding too.
//
// Check sends no mail. Like Validate, it first gives the parts the settings that
// they inherit. It may be called before Run or while the relay runs.
func (g *Gateway) Check(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	g.inherit()
	all := g.validate()
	s := g.site()
	parts := []func() findings{func() findings { return g.checkName(ctx, s) }}
	domains := slices.DeleteFunc(slices.Clone(s.Domains), func(d site.Domain) bool {
		return strings.HasPrefix(d.Name, "*.") || strings.HasPrefix(d.Name, "[")
	})
	for _, d := range domains[:min(len(domains), checkDomains)] {
		parts = append(parts, func() findings { return g.checkDomain(ctx, s, d) })
	}
	if n := len(domains) - checkDomains; n > 0 {
		all.add(Note, "accepted domains", fmt.Sprintf("%d of %d were not looked up in the DNS", n, len(domains)))
	}
	if g.Queue != nil {
		if c, is := g.Queue.Deliverer.(site.Checker); is && !isNil(c) {
			parts = append(parts, func() (f findings) { f.addSite(c.CheckSite(ctx, s)); return f })
		}
	}
	for _, f := range inParallel(parts) {
		all = append(all, f...)
	}
	return all
}

// inParallel calls functions, a few at the same time, and returns their results
// in the order of the functions.
func inParallel(parts []func() findings) []findings {
	results := make([]findings, len(parts))
	places := make(chan struct{}, checkAtOnce)
	var all sync.WaitGroup
	for i, part := range parts {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			results[i] = part()
		})
	}
	all.Wait()
	return results
}

// checkName checks what other servers find in the DNS about our name.
func (g *Gateway) checkName(ctx context.Context, s site.Site) (f findings) {
	name := strings.ToLower(g.Hostname)
	subject := "addresses of " + name
	if !strings.Contains(name, ".") {
		f.add(Warning, "Hostname", fmt.Sprintf("%q has no domain: other servers may refuse it in EHLO (RFC 5321, 4.1.1.1)", g.Hostname))
		return f
	}
	addrs, err := resolver.Addrs(ctx, g.Resolver, name, resolver.TypeA, resolver.TypeAAAA)
	switch {
	case err != nil && !resolver.IsNotFound(err):
		f.add(Warning, subject, "cannot be looked up at present: "+err.Error())
	case len(addrs) == 0:
		f.add(Warning, subject, "there are none: other servers may refuse mail from a host whose name does not exist")
	default:
		f.add(Note, subject, join(addrs))
	}
	for _, ip := range addrs[:min(len(addrs), checkAddrs)] {
		g.checkPTR(ctx, &f, name, ip)
	}
	g.checkOwnMX(ctx, &f, name)
	return f
}

// checkPTR checks that an address of ours has our name.
func (g *Gateway) checkPTR(ctx context.Context, f *findings, name string, ip netip.Addr) {
	subject := fmt.Sprintf("PTR of %s", ip)
	names, err := resolver.PTRs(ctx, g.Resolver, ip)
	switch {
	case err != nil && !resolver.IsNotFound(err):
		f.add(Warning, subject, "cannot be looked up at present: "+err.Error())
	case len(names) == 0:
		f.add(Warning, subject, "there is none: many servers refuse mail from an address without a name")
	case !slices.ContainsFunc(names, func(n string) bool { return same(n, name) }):
		f.add(Warning, subject, fmt.Sprintf("is %s, and not %s: some servers refuse mail if they differ", strings.Join(names, ", "), name))
	default:
		f.add(Note, subject, strings.Join(names, ", "))
	}
}

func (g *Gateway) checkOwnMX(ctx context.Context, f *findings, name string) {
	subject := "MX of " + name
	mxs, err := resolver.MXs(ctx, g.Resolver, name)
	switch {
	case resolver.IsNotFound(err):
		f.add(Note, subject, "there is none: mail to this name goes to its addresses")
	case err != nil:
		f.add(Warning, subject, "cannot be looked up at present: "+err.Error())
	case isNullMX(mxs):
		f.add(Warning, subject, "is a null MX: servers that check the sender's domain refuse reports from postmaster@"+name)
	default:
		f.add(Note, subject, hosts(mxs))
	}
}

// checkDomain checks the MX records of an accepted domain.
func (g *Gateway) checkDomain(ctx context.Context, s site.Site, d site.Domain) (f findings) {
	name, err := addr.Domain(d.Name)
	if err != nil {
		return nil // Validate reports it
	}
	subject := "MX of " + name
	mxs, err := resolver.MXs(ctx, g.Resolver, name)
	ours := slices.ContainsFunc(mxs, func(mx resolver.MX) bool {
		return slices.ContainsFunc(s.Names, func(n string) bool { return same(n, mx.Host) })
	})
	switch {
	case resolver.IsNotFound(err):
		f.add(Warning, subject, "there is none: other servers send the mail to the addresses of the domain, if it has any")
	case err != nil:
		f.add(Warning, subject, "cannot be looked up at present: "+err.Error())
	case isNullMX(mxs):
		f.add(Error, subject, "is a null MX: the domain says that it accepts no mail (RFC 7505)")
	case ours:
		f.add(Note, subject, hosts(mxs))
	default:
		f.add(Note, subject, hosts(mxs)+": this relay is not one of them, so its mail arrives through them")
	}
	return f
}

func isNullMX(mxs []resolver.MX) bool { return len(mxs) == 1 && strings.Trim(mxs[0].Host, ".") == "" }

// hosts returns MX records as text, in the order of preference.
func hosts(mxs []resolver.MX) string {
	mxs = slices.Clone(mxs)
	slices.SortFunc(mxs, func(a, b resolver.MX) int { return int(a.Preference) - int(b.Preference) })
	texts := make([]string, 0, len(mxs))
	for _, mx := range mxs[:min(len(mxs), 20)] {
		texts = append(texts, fmt.Sprintf("%d %s", mx.Preference, mx.Host))
	}
	return strings.Join(texts, ", ")
}

func join(addrs []netip.Addr) string {
	texts := make([]string, 0, len(addrs))
	for _, a := range addrs[:min(len(addrs), 20)] {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}

// same reports whether two host names are equal.
func same(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
