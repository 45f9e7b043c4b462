package main

import (
	"context"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rewrite"
	"github.com/bridgehead-mail/bridgehead/policy/ldap"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// aliasesOf returns the aliases of the file, and then those of the directory.
func (m *merger) aliasesOf(k *program.Kit, d *ldap.Directory) *policy.Aliases {
	from := sources{}
	if f := k.Aliases("aliases", m.aliases); f != nil {
		from = append(from, f)
	}
	if d != nil {
		a := &ldap.Aliases{Directory: d, Host: m.ldap.route, Owner: m.ldap.owner, Route: m.systemOf}
		k.Fault("ldap", a.Validate())
		from = append(from, a)
	}
	return &policy.Aliases{Source: from, Queue: k.Queue}
}

// sources are several sources of aliases. The first one that knows an address decides.
type sources []policy.AliasSource

// Alias implements policy.AliasSource.
func (s sources) Alias(ctx context.Context, address string) (*policy.Alias, error) {
	for i, one := range s {
		if a, err := one.Alias(ctx, address); a != nil || err != nil {
			return s[:i].lookAgain(ctx, a, err)
		}
	}
	return nil, nil
}

// lookAgain makes the mailboxes of a group members that are looked up again, if one of s
// has an alias for them: the source of the group does not know this.
func (s sources) lookAgain(ctx context.Context, group *policy.Alias, err error) (*policy.Alias, error) {
	if err != nil || len(s) == 0 {
		return group, err
	}
	a := *group
	a.Members, a.Mailboxes = slices.Clone(group.Members), nil
	for _, to := range group.Mailboxes {
		known, err := s.Alias(ctx, to)
		switch {
		case err != nil:
			return nil, err
		case known != nil:
			a.Members = append(a.Members, to)
		default:
			a.Mailboxes = append(a.Mailboxes, to)
		}
	}
	return &a, nil
}

// Exists implements policy.Directory.
func (s sources) Exists(ctx context.Context, address string) (found bool, err error) {
	for _, one := range s {
		if d, is := one.(policy.Directory); is {
			found, err = d.Exists(ctx, address)
		} else {
			a, e := one.Alias(ctx, address)
			found, err = a != nil, e
		}
		if found || err != nil {
			break
		}
	}
	return found, err
}

// listConnector returns the connector for lists with an owner.
func listConnector(aliases *policy.Aliases) routing.Connector {
	return routing.Connector{Name: "lists", RoutedOnly: true, Transport: routing.TransportFunc(func(ctx context.Context, j *routing.Job) []queue.Result {
		return aliases.Deliver(ctx, j.Message, j.Recipients)
	})}
}

// systemOf returns the next hop for a value of the attribute of -ldap-route. A value that
// names neither system is a connector that does not exist, so that the mail waits.
func (m *merger) systemOf(value string) queue.NextHop {
	is := func(system, domain, server string, values program.List) bool {
		for _, one := range append([]string{system, domain, server}, values...) {
			if strings.EqualFold(strings.TrimSuffix(value, "."), one) {
				return true
			}
		}
		return false
	}
	switch {
	case m.ldap.route == "":
		return queue.NextHop{} // ldap.Aliases has read another attribute
	case is("ours", m.ours, m.ourServer, m.ldap.ours):
		return queue.NextHop{Destination: m.ours}
	case is("theirs", m.theirs, m.theirServer, m.ldap.theirs):
		return queue.NextHop{Destination: m.theirs}
	}
	return queue.NextHop{Connector: "unknown system", Destination: strings.ToLower(value)}
}

// limits returns the agent for the limits that the directory has.
func (m *merger) limits(k *program.Kit, d *ldap.Directory) []smtpserver.Agent {
	if !m.ldap.limits || d == nil {
		return nil
	}
	l := &ldap.Limits{Directory: d, Domains: []string{m.ours, m.theirs}}
	if !k.Failed() { // otherwise the domains may be missing
		k.Fault("ldap-limits", l.Validate())
	}
	return []smtpserver.Agent{l.Agent()}
}

// outbound returns the agents for mail of the two systems.
func (m *merger) outbound(k *program.Kit, d *ldap.Directory) []smtpserver.Agent {
	if !m.primary || d == nil {
		return nil
	}
	p := &rewrite.Primary{Source: &ldap.Primary{Directory: d}, Domains: []string{m.ours, m.theirs}}
	if !k.Failed() { // otherwise the domains may be missing
		k.Fault("primary", p.Validate())
	}
	return []smtpserver.Agent{p.Agent()}
}
