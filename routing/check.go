package routing

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// Limits of CheckSite.
const (
	maxChecked  = 100 // connectors with smart hosts, and accepted domains
	checkAtOnce = 8
)

// CheckSite checks the smart hosts of all connectors, for gateway.Gateway.Check:
// it looks up their addresses and opens a session with each address
// (smtpclient.Transport.Probe), without sending mail. It also checks that the
// mail of accepted domains that is delivered by DNS does not return to this
// relay. It returns when ctx ends.
func (r *Router) CheckSite(ctx context.Context, s site.Site) []site.Finding {
	r.init()
	t := r.table()
	var checks []func() []site.Finding
	for _, c := range t.connectors {
		if !c.Disabled && c.byDNS() && len(c.hosts) > 0 {
			checks = append(checks, func() []site.Finding { return r.checkSmartHosts(ctx, c) })
		}
	}
	for _, d := range s.Domains {
		name, below, err := parsePattern(d.Name)
		if err != nil || below {
			continue
		}
		if c := t.serves(name, false); c != nil && c.direct() && !c.Hold {
			checks = append(checks, func() []site.Finding { return r.checkLoop(ctx, s, c, name) })
		}
	}
	left := max(len(checks)-maxChecked, 0)
	results := make([][]site.Finding, len(checks)-left)
	places := make(chan struct{}, checkAtOnce)
	var all sync.WaitGroup
	for i := range results {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			results[i] = checks[i]()
		})
	}
	all.Wait()
	found := slices.Concat(results...)
	if left > 0 {
		found = append(found, site.Finding{Subject: "connectors", Text: fmt.Sprintf("%d connectors and domains were not checked", left)})
	}
	return found
}

// checkSmartHosts looks up and probes the smart hosts of a connector. It is an
// error if none of them works, and a warning if one of them does not.
func (r *Router) checkSmartHosts(ctx context.Context, c *connector) (found []site.Finding) {
	subject := fmt.Sprintf("connector %s: SmartHosts", c.Name)
	add := func(severity site.Severity, subject, text string) {
		found = append(found, site.Finding{Severity: severity, Subject: subject, Text: text})
	}
	first, second := r.destination(c, queue.NextHop{Connector: c.Name, Destination: c.hostsName})
	if second != nil { // DirectFirst: the smart hosts are the alternative
		first = second
	}
	hosts, err := first.Hosts(ctx)
	if err != nil {
		add(site.Error, subject, "cannot be found: "+err.Error())
		return found
	}
	t, is := r.transport(c).(smtpTransport)
	if !is {
		return nil
	}
	fixed := *first
	fixed.Hosts = smtpclient.HostList(hosts...)
	probes, err := t.Probe(ctx, &fixed)
	if len(probes) == 0 && err != nil {
		add(site.Error, subject, "cannot be reached: "+err.Error())
		return found
	}
	bad := site.Error
	if slices.ContainsFunc(probes, func(p smtpclient.Probe) bool { return p.Err == nil }) {
		bad = site.Warning
	}
	for _, p := range probes {
		subject := fmt.Sprintf("connector %s: smart host %s", c.Name, p.Addr)
		if p.Host != "" && !strings.Contains(p.Addr, strings.Trim(p.Host, "[]")) {
			subject = fmt.Sprintf("connector %s: smart host %s (%s)", c.Name, p.Host, p.Addr)
		}
		if p.Err != nil {
			add(bad, subject, p.Err.Error())
			continue
		}
		security := "without TLS"
		if p.TLS != nil {
			security = tls.VersionName(p.TLS.Version)
		}
		add(site.Note, subject, fmt.Sprintf("replies %q, %s", p.Greeting, security))
	}
	return found
}

// checkLoop checks that mail for an accepted domain that is delivered by DNS does
// not return to this relay: its MX record with the best preference must name
// another host.
func (r *Router) checkLoop(ctx context.Context, s site.Site, c *connector, name string) []site.Finding {
	find := r.finder(c, smtpPort)
	mxs, err := resolver.MXs(ctx, find.resolver, name)
	if err != nil {
		return nil // the Gateway reports it
	}
	best := slices.MinFunc(mxs, func(a, b resolver.MX) int { return int(a.Preference) - int(b.Preference) })
	for _, mx := range mxs {
		if mx.Preference == best.Preference && slices.ContainsFunc(s.Names, func(n string) bool { return sameName(n, strings.ToLower(mx.Host)) }) {
			return []site.Finding{{Severity: site.Error, Subject: "MX of " + name,
				Text: fmt.Sprintf("names this relay, and the connector %s delivers by DNS: the mail loops (5.4.6)", c.Name)}}
		}
	}
	return nil
}
