package routing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A connector is a parsed Connector.
type connector struct {
	Connector
	spaces     []space
	hosts      []smartHost
	hostsName  string // of the set of smart hosts
	scope      *senderSet
	accept     *senderSet
	refuse     *senderSet
	domainTLS  map[string]*smtpclient.TLSPolicy
	belowTLS   map[string]*smtpclient.TLSPolicy
	receivers  map[string]bool
	identities map[string]bool // folded
	mayRequest map[string]bool // HoldAccounts, folded
	downgrade  []replyPattern
	upgrade    []replyPattern
}

// byDNS reports whether the connector uses SMTP, and so looks up hosts in the
// DNS.
func (c *connector) byDNS() bool {
	return c.Transport == nil || isSMTP(c.Transport)
}

// A builder validates a table and collects its faults.
type builder struct {
	t      *Table
	ours   []space // Site.Domains
	backup []space
	faults []error

	at string // the connector that is being checked, for errors
}

func (b *builder) fault(field, format string, args ...any) {
	b.faults = append(b.faults, &ConfigError{b.at, field, fmt.Sprintf(format, args...)})
}

// check records a fault if err is not nil.
func (b *builder) check(field string, err error) {
	if err != nil {
		b.fault(field, "%v", err)
	}
}

func (b *builder) site(s Site) {
	b.at = "(site)"
	b.check("Addrs", b.t.site.add(s.Names, s.Addrs))
	for i, list := range [][]string{s.Domains, s.BackupDomains} {
		for _, text := range list {
			d, below, err := parsePattern(text)
			b.check([]string{"Domains", "BackupDomains"}[i], err)
			sp := space{text: text, domain: d, below: below}
			if i == 0 {
				b.ours = append(b.ours, sp)
				b.t.domains.add(d, below)
			} else {
				b.backup = append(b.backup, sp)
				b.t.backup.add(d, below)
			}
		}
	}
}

func (b *builder) connector(i int, from *Connector) {
	c := &connector{Connector: *from}
	b.at = called(c, i)
	b.name(c)
	b.spaces(c)
	b.delivery(c)
	if err := validateTransport(c.Transport); err != nil {
		b.check("Transport", err)
		c.Transport = nil // the other checks use it
	}
	b.transport(c)
	b.restrictions(c)
	b.schedules(c)
	b.t.connectors = append(b.t.connectors, c)
	b.t.byName[c.Name] = c
}

// called returns the name of a connector in errors.
func called(c *connector, i int) string {
	return cmp.Or(c.Name, fmt.Sprintf("number %d", i+1))
}

func (b *builder) name(c *connector) {
	switch {
	case c.Name == "":
		b.fault("Name", "missing")
	case len(c.Name) > 64 || strings.ContainsFunc(c.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		b.fault("Name", "longer than 64 bytes, or with control characters")
	case b.t.byName[c.Name] != nil:
		b.fault("Name", "another connector has the same name")
	}
}

func (b *builder) spaces(c *connector) {
	direct := c.byDNS() && (len(c.hosts) == 0 && len(c.SmartHosts) == 0 || c.DirectFirst)
	seen := make(map[space]bool) // without text and cost
	for i, text := range c.Spaces {
		field := fmt.Sprintf("Spaces[%d]", i)
		s, err := parseSpace(text)
		if err != nil {
			b.check(field, err)
			continue
		}
		what := s
		what.text, what.cost = "", 0
		if seen[what] {
			b.fault(field, "%q is listed twice", text)
			continue
		}
		seen[what] = true
		c.spaces = append(c.spaces, s)
		switch {
		case s.ours && len(b.ours)+len(b.backup) == 0:
			b.fault(field, "%q means the accepted domains, but the Site has none", text)
		case direct && s.ours && len(b.ours) > 0:
			b.fault(field, "%q causes a mail loop: the connector delivers by DNS, and this relay is the MX host of %s", text, b.ours[0].text)
		case direct && (b.t.domains.covers(s.domain) || !s.below && b.t.domains.has(s.domain)):
			b.fault(field, "%q causes a mail loop: the connector delivers by DNS, and the domain is one of Site.Domains", text)
		}
	}
	for i := range c.spaces {
		b.index(c, &c.spaces[i])
	}
}

// index adds a connector to the table under an address space. "--" is replaced
// by the accepted domains.
func (b *builder) index(c *connector, s *space) {
	switch {
	case s.all:
		b.t.all = append(b.t.all, candidate{c, s})
	case s.ours:
		for _, d := range slices.Concat(b.ours, b.backup) {
			d.text, d.cost = s.text, s.cost
			b.index(c, &d)
		}
	case s.below:
		b.t.below[s.domain] = append(b.t.below[s.domain], candidate{c, s})
	default:
		b.t.exact[s.domain] = append(b.t.exact[s.domain], candidate{c, s})
	}
}

func (b *builder) delivery(c *connector) {
	b.smartHosts(c)
	if c.Port < 0 || c.Port > 65535 {
		b.fault("Port", "%d is not a port", c.Port)
	}
	if c.ReportSender != "" {
		b.check("ReportSender", addr.Mailbox(c.ReportSender, true))
	}
	if c.DirectFirst && len(c.SmartHosts) == 0 {
		b.fault("DirectFirst", "needs SmartHosts")
	}
	if c.Auth != nil && c.byDNS() && len(c.SmartHosts) == 0 && slices.ContainsFunc(c.spaces, func(s space) bool { return s.all }) {
		b.fault("Auth", "needs SmartHosts: by DNS, the password would be sent to the hosts of any recipient domain")
	}
	if c.TLS != nil {
		b.check("TLS", validatePolicy(c, *c.TLS))
	}
	if settings.IsTypedNil(c.Resolver) {
		b.fault("Resolver", "is a nil %T", c.Resolver)
	}
	b.unused(c)
	b.domainTLS(c)
}

func (b *builder) smartHosts(c *connector) {
	for i, s := range c.SmartHosts {
		field := fmt.Sprintf("SmartHosts[%d]", i)
		h, err := parseSmartHost(s)
		if err != nil {
			b.check(field, err)
			continue
		}
		if b.t.site.isHost(&h) {
			b.fault(field, "%q is this relay, so mail to it would loop", s.Host)
		}
		c.hosts = append(c.hosts, h)
	}
	c.hostsName = setName(c.hosts)
}

// unused finds settings that the other settings of the connector make
// ineffective.
func (b *builder) unused(c *connector) {
	noDNS := len(c.SmartHosts) > 0 && !c.DirectFirst
	notSMTP := "applies only to SMTP; this Transport ignores it"
	for _, f := range []struct {
		name   string
		set    bool
		unused bool
		why    string
	}{
		{"Port", c.Port > 0 && c.Port <= 65535, noDNS, "applies only to hosts found by DNS; put the port into SmartHosts"},
		{"DomainTLS", len(c.DomainTLS) > 0, noDNS, "applies only to domains found by DNS; use TLS for smart hosts"},
		{"SmartHosts", len(c.SmartHosts) > 0, !c.byDNS(), notSMTP},
		{"Auth", c.Auth != nil, !c.byDNS(), notSMTP},
		{"TLS", c.TLS != nil, !c.byDNS(), notSMTP},
		{"DomainTLS", len(c.DomainTLS) > 0, !c.byDNS(), notSMTP},
		{"Port", c.Port != 0, !c.byDNS(), notSMTP},
		{"Resolver", c.Resolver != nil, !c.byDNS(), notSMTP},
	} {
		if f.set && f.unused {
			b.fault(f.name, "%s", f.why)
		}
	}
}

// isHost reports whether a smart host is this relay, according to its name or
// address literal.
func (s *self) isHost(h *smartHost) bool {
	if h.socket != "" {
		return false
	}
	return !h.addr.IsValid() && h.port == smtpPort && s.hasName(h.name) ||
		h.addr.IsValid() && s.hasAddr(addrPort(h.addr, h.port))
}

func (b *builder) restrictions(c *connector) {
	var err error
	c.scope, err = parseSenders(c.Scope.Senders)
	b.check("Scope.Senders", err)
	c.accept, err = parseSenders(c.AcceptSenders)
	b.check("AcceptSenders", err)
	c.refuse, err = parseSenders(c.RefuseSenders)
	b.check("RefuseSenders", err)
	for i, p := range c.Scope.Networks {
		if !p.IsValid() {
			b.fault(fmt.Sprintf("Scope.Networks[%d]", i), "not a network")
		} else if p != p.Masked() {
			b.fault(fmt.Sprintf("Scope.Networks[%d]", i), "%v has bits set beyond the prefix length; did you mean %v?", p, p.Masked())
		}
	}
	c.receivers = setOf(c.Scope.ReceiveConnectors)
	c.identities, c.mayRequest = identitySet(c.Scope.Identities), identitySet(c.HoldAccounts)
	if c.MaxMessageSize < 0 {
		b.fault("MaxMessageSize", "negative")
	}
	if c.MaxConcurrency < 0 {
		b.fault("MaxConcurrency", "negative")
	}
	if c.Priorities > HighPriority|NormalPriority|LowPriority {
		b.fault("Priorities", "unknown priority")
	}
	if c.HeaderPriority && c.Priorities == 0 {
		b.fault("HeaderPriority", "has no effect without Priorities")
	}
	if c.SystemMessages > SystemNever {
		b.fault("SystemMessages", "unknown value %d", c.SystemMessages)
	}
	for i, d := range c.Retry {
		if d <= 0 {
			b.fault(fmt.Sprintf("Retry[%d]", i), "%v is not a positive duration", d)
		}
	}
	if c.Expire < 0 {
		b.fault("Expire", "negative")
	}
	c.downgrade, err = parseReplyPatterns(c.Errors.Downgrade, '5')
	b.check("Errors.Downgrade", err)
	c.upgrade, err = parseReplyPatterns(c.Errors.Upgrade, '4')
	b.check("Errors.Upgrade", err)
}

func setOf(list []string) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, s := range list {
		m[s] = true
	}
	return m
}

// identitySet is setOf for identities, which are compared without case.
func identitySet(list []string) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, s := range list {
		m[addr.FoldLocal(s)] = true
	}
	return m
}

func (b *builder) schedules(c *connector) {
	switch {
	case c.OversizeSize < 0:
		b.fault("OversizeSize", "negative")
	case c.OversizeSchedule != nil && c.OversizeSize == 0:
		b.fault("OversizeSize", "missing: OversizeSchedule applies to messages larger than it")
	case c.OversizeSchedule == nil && c.OversizeSize > 0:
		b.fault("OversizeSchedule", "missing: OversizeSize has no effect without it")
	case c.OversizeSize > 0 && c.MaxMessageSize > 0 && c.OversizeSize >= c.MaxMessageSize:
		b.fault("OversizeSize", "has no effect: MaxMessageSize is %d", c.MaxMessageSize)
	}
	if c.Schedule != nil && c.Schedule.zone == nil {
		b.fault("Schedule", "not made by ParseSchedule")
	}
	if c.OversizeSchedule != nil && c.OversizeSchedule.zone == nil {
		b.fault("OversizeSchedule", "not made by ParseSchedule")
	}
	if c.OnDemand && c.Hold {
		b.fault("OnDemand", "contradicts Hold")
	}
	if len(c.HoldAccounts) > 0 && !c.Hold {
		b.fault("HoldAccounts", "has no effect without Hold")
	}
}
