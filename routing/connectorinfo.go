package routing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A ConnectorInfo describes a connector of the table for people and programs,
// with the state of its schedules now. Its fields are those of [Connector], in a
// form for JSON, without secrets: Auth only reports whether the relay
// authenticates. HoldAccounts and Scope.Identities are account names.
type ConnectorInfo = site.SendConnector

// SendConnectors returns a description of each connector of the table, in the
// order of the settings.
func (r *Router) SendConnectors() []ConnectorInfo {
	r.init()
	now := r.Clock.Now()
	t := r.table()
	all := make([]ConnectorInfo, len(t.connectors))
	for i, c := range t.connectors {
		all[i] = r.connectorInfo(c, now)
	}
	return all
}

func (r *Router) connectorInfo(c *connector, now time.Time) ConnectorInfo {
	i := ConnectorInfo{
		Name: c.Name, Enabled: !c.Disabled, Spaces: []site.AddressSpace{},
		Exclusive: c.Exclusive, RoutedOnly: c.RoutedOnly, Fallback: c.Fallback,
		ReportSender: c.ReportSender, Scope: scopeInfo(&c.Scope), MaxMessageSize: c.MaxMessageSize,
		AcceptSenders: slices.Clone(c.AcceptSenders), RefuseSenders: slices.Clone(c.RefuseSenders),
		Priorities: priorityNames(c.Priorities), SystemMessages: [...]string{"", "only", "never"}[c.SystemMessages],
		Schedule: c.Schedule.info(now), OversizeSchedule: c.OversizeSchedule.info(now), OversizeSize: c.OversizeSize,
		OnDemand: c.OnDemand, Hold: c.Hold, HoldAccounts: slices.Clone(c.HoldAccounts),
		MaxConcurrency: c.MaxConcurrency, DelayNotice: site.Duration(c.Notice), Expiry: site.Duration(c.Expire),
	}
	for _, s := range c.spaces {
		i.Spaces = append(i.Spaces, site.AddressSpace{Space: s.String(), Cost: s.cost})
	}
	for _, d := range c.Retry {
		i.Retry = append(i.Retry, site.Duration(d))
	}
	r.deliveryInfo(&i, c)
	return i
}

// deliveryInfo describes how a connector sends.
func (r *Router) deliveryInfo(i *ConnectorInfo, c *connector) {
	t, isSMTP := r.transport(c).(smtpTransport)
	switch {
	case !isSMTP:
		i.Delivery = strings.TrimPrefix(fmt.Sprintf("%T", c.Transport), "*")
		return
	case len(c.hosts) == 0:
		i.Delivery = "DNS"
	case c.DirectFirst:
		i.Delivery = "DNS, then smart hosts"
	default:
		i.Delivery = "smart hosts"
	}
	if c.direct() {
		if i.Port = c.Port; i.Port == 0 {
			i.Port = smtpPort
		}
	}
	for _, h := range c.hosts {
		name := strings.TrimPrefix(h.String(), "mx:")
		i.SmartHosts = append(i.SmartHosts, site.SmartHost{Host: name, MX: h.mx, Preference: h.pref, Weight: h.weight})
	}
	first, second := r.destination(c, queue.NextHop{Connector: c.Name, Destination: c.hostsName})
	if second == nil {
		second = first
	}
	i.Auth = second.Auth != nil || t.Transport != nil && t.Auth != nil
	i.TLS = r.levelOf(second, c)
	if t.Transport != nil {
		i.LMTP, i.ImplicitTLS = t.LMTP, t.ImplicitTLS
	}
	for domain, policy := range c.DomainTLS {
		if i.DomainTLS == nil {
			i.DomainTLS = make(map[string]string, len(c.DomainTLS))
		}
		i.DomainTLS[domain] = r.levelOf(&smtpclient.Destination{TLS: &policy, Auth: first.Auth}, c)
	}
}

// String returns the address space without its cost, in canonical form.
func (s *space) String() string {
	switch {
	case s.all:
		return "*"
	case s.ours:
		return "--"
	case s.below:
		return "*." + s.domain
	}
	return s.domain
}

func scopeInfo(s *Scope) *site.Scope {
	if len(s.Senders)+len(s.Networks)+len(s.ReceiveConnectors)+len(s.Identities) == 0 {
		return nil
	}
	return &site.Scope{Senders: slices.Clone(s.Senders), Networks: slices.Clone(s.Networks),
		ReceiveConnectors: slices.Clone(s.ReceiveConnectors), Identities: slices.Clone(s.Identities)}
}

func priorityNames(p Priorities) (names []string) {
	for i, name := range []string{"high", "normal", "low"} {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// info describes the schedule and its state at a time. It returns nil for a
// schedule that is always open.
func (s *Schedule) info(now time.Time) *site.Schedule {
	if s == nil {
		return nil
	}
	i := &site.Schedule{Text: s.text, Zone: s.zone.String(), Open: s.Open(now)}
	if i.Open {
		i.Changes = s.NextClose(now)
	} else {
		i.Changes = s.NextOpen(now)
	}
	return i
}
