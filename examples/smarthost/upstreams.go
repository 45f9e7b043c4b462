package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpclient/oauth"
)

// upstreams are the settings for where the mail goes.
type upstreams struct {
	hosts    program.List
	bySender program.Words
	port     int // of hosts that are found by DNS
}

func (u *upstreams) define(f *flag.FlagSet) {
	f.Var(&u.hosts, "upstream", "`hosts` that take all mail, as smtp.example.net:587. If several are given, separated by commas,\nthe next one is used while those before it are down. The default port is 25; on port 465 TLS\nbegins with the first byte. Default: delivery to the MX hosts of each recipient's domain")
	f.IntVar(&u.port, "port", 25, "`port` of MX hosts, without -upstream")
	f.Var(&u.bySender, "upstream-for", "`rule` with a sender, its host, and the account there, as \"alarm@example.com\nsmtp.example.net:587 alarm@example.com /etc/relay/alarm-password\". The sender is an address,\na domain, *.domain or <>. Without account, the relay does not log in there. Repeat it for more\nsenders, and for more hosts of a sender")
}

// A rule is one value of -upstream-for.
type rule struct {
	sender, host       string
	user, passwordFile string
}

// rules parses -upstream-for. The result is sorted: the most specific senders first.
func (u *upstreams) rules(k *program.Kit) (rules []rule) {
	for i, text := range u.bySender {
		words := strings.Fields(text)
		if len(words) != 2 && len(words) != 4 {
			k.Fault("upstream-for", fmt.Errorf("%q is not \"sender host\" or \"sender host account password-file\"", text))
			continue
		}
		r := rule{sender: strings.ToLower(words[0]), host: words[1]}
		if len(words) == 4 {
			r.user, r.passwordFile = words[2], words[3]
		}
		if r.sender == "*" {
			k.Fault("upstream-for", errors.New("for all senders, use -upstream"))
			continue
		}
		k.Host(fmt.Sprintf("upstream-for[%d]", i), routing.SmartHost{Host: r.host})
		rules = append(rules, r)
	}
	slices.SortStableFunc(rules, func(a, b rule) int {
		return cmp.Or(cmp.Compare(a.breadth(), b.breadth()), cmp.Compare(len(b.sender), len(a.sender)), cmp.Compare(a.sender, b.sender))
	})
	return rules
}

// breadth is greater for a sender that matches more addresses.
func (r rule) breadth() int {
	switch {
	case strings.HasPrefix(r.sender, "*."):
		return 2
	case strings.Contains(r.sender, "@") || r.sender == "<>":
		return 0
	}
	return 1
}

// table makes the routing table. own are the credentials for -upstream.
func (s *smarthost) table(k *program.Kit, rules []rule, own smtpclient.Authenticator) *routing.Table {
	var all []routing.Connector
	var routed []string // the senders that have an upstream of their own
	for len(rules) > 0 {
		sender, hosts := rules[0].sender, []smartHost(nil)
		for len(rules) > 0 && rules[0].sender == sender {
			hosts = append(hosts, smartHost{rules[0].host, rules[0].credentials(k)})
			rules = rules[1:]
		}
		chain := s.failover(k, "upstream for "+sender, hosts)
		chain[0].Scope.Senders, chain[0].RefuseSenders = []string{sender}, slices.Clone(routed)
		all, routed = append(all, chain...), append(routed, sender)
	}
	var hosts []smartHost
	for _, host := range s.upstreams.hosts {
		hosts = append(hosts, smartHost{host, own})
	}
	chain := s.failover(k, "upstream", hosts)
	if len(hosts) == 0 {
		chain = []routing.Connector{{Name: "internet", Spaces: []string{"*"}, Port: s.port, Transport: routing.SMTP(s.transport(k, "internet", "", nil))}}
	}
	// A sender with an upstream of its own waits while that is down: the account of
	// another one may not send its mail.
	chain[0].RefuseSenders = routed
	chain = s.graph.connectors(k, s, chain)
	listen := k.Listen("listen", s.listen)
	if s.listenTLS != "" {
		listen = append(listen, k.Listen("listen-tls", s.listenTLS)...)
	}
	return k.Table(nil, listen, append(all, chain...)...)
}

// A smartHost is an upstream and the credentials for it; nil: none.
type smartHost struct {
	host string
	auth smtpclient.Authenticator
}

// failover makes a connector for each host. Each is the fallback of the one before.
func (s *smarthost) failover(k *program.Kit, name string, hosts []smartHost) (chain []routing.Connector) {
	for i, u := range hosts {
		c := routing.Connector{Name: name, SmartHosts: routing.SmartHosts(u.host), ReportSender: cmp.Or(s.reportSender, s.sender),
			Errors: routing.ErrorPolicy{Explain: oauth.Explain}}
		if i == 0 {
			c.Spaces = []string{"*"}
		} else {
			c.Name = fmt.Sprintf("%s, %d", name, i+1)
			chain[i-1].Fallback = c.Name
		}
		c.Transport = routing.SMTP(s.transport(k, c.Name, u.host, u.auth))
		chain = append(chain, c)
	}
	return chain
}

func (s *smarthost) transport(k *program.Kit, name, host string, auth smtpclient.Authenticator) *smtpclient.Transport {
	t := k.Transport(name)
	t.Auth, t.TLS = auth, smtpclient.TLSPolicy{Level: s.tls}
	t.ImplicitTLS = strings.HasSuffix(host, ":465")   // RFC 8314, 3.3
	t.AllowInsecureAuth = s.tls == smtpclient.TLSNone // only -tls none permits a password without TLS
	return t
}

func (r rule) credentials(k *program.Kit) smtpclient.Authenticator {
	if r.user == "" {
		return nil
	}
	return smtpclient.PasswordAuth(r.user, k.Secret("upstream-for", r.passwordFile))
}
