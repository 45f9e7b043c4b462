package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rewrite"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Build implements program.Gateway.
func (s *submission) Build(k *program.Kit) program.Rules {
	s.check(k)
	var rules program.Rules
	from := s.source(k, &rules)
	all := s.readUsers(k)
	gate := &policy.Gate{
		// Only a user who has logged in may send (530 5.7.0 before), and to any domain.
		Grants:            []policy.Grant{{To: policy.Clients{Authenticated: true}, Rights: policy.Submit}},
		Authenticated:     true,
		SendAs:            &policy.SendAs{Owns: all.owns(from.owns)},
		HideAuthenticated: s.hideClients,
	}
	rules.Warnings = slices.Concat(from.warnings, all.unknown(from.names))
	if len(s.primary) > 0 {
		gate.Outbound = append(gate.Outbound, s.primaryAddresses(k, from.primary))
	}
	if signer := s.signer(k); signer != nil {
		gate.Outbound = append(gate.Outbound, signer.Agent()) // signs the addresses that leave
		rules.Hooks = []queue.Hook{signer.Hook()}             // reports, and files of -pickup
	}
	limits := all.agent(program.Keep[counts](k, "counts"))
	var open []netip.AddrPort
	for _, l := range []struct {
		name, setting, address string
		mode                   smtpserver.TLSMode
	}{
		{"submission", "listen", s.listen, smtpserver.TLSRequired},
		{"submissions", "listen-tls", s.listenTLS, smtpserver.TLSImplicit},
	} {
		if l.address == "" {
			continue
		}
		open = append(open, k.Listen(l.setting, l.address)...)
		srv := k.Server(l.name)
		srv.TLSMode, srv.Auth = l.mode, from.auth
		srv.Limits.MessageSize, srv.Limits.Recipients = all.largest()
		srv.Limits.Tarpit = s.loginDelay
		srv.Agents = []smtpserver.Agent{{Name: "account", Auth: from.named}, limits, complete()}
		k.Install(l.setting, gate, srv)
		rules.Receive = append(rules.Receive, program.Receive{Server: srv, Address: l.address, Setting: l.setting})
	}
	rules.Table = k.Table(nil, open, s.connector(k))
	return rules
}

// primaryAddresses returns the agent of -primary-domains.
func (s *submission) primaryAddresses(k *program.Kit, from rewrite.PrimarySource) smtpserver.Agent {
	p := &rewrite.Primary{Source: from, Domains: s.primary}
	switch {
	case len(s.ldap.urls) == 0:
		k.Fault("primary-domains", errors.New("needs -ldap"))
	case !k.Failed():
		k.Fault("primary-domains", p.Validate())
	}
	return p.Agent()
}

// connector returns the send connector: by MX, or by the smart host of -upstream.
func (s *submission) connector(k *program.Kit) routing.Connector {
	if s.upstream == "" {
		return routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: s.port}
	}
	t := k.Transport("upstream")
	t.TLS = smtpclient.TLSPolicy{Level: s.upstreamTLS}
	t.ImplicitTLS = strings.HasSuffix(s.upstream, ":465")     // RFC 8314, 3.3
	t.AllowInsecureAuth = s.upstreamTLS == smtpclient.TLSNone // only -upstream-tls none permits a password without TLS
	if s.upstreamUser != "" {
		t.Auth = smtpclient.PasswordAuth(s.upstreamUser, k.Secret("upstream-password-file", s.upstreamP))
	}
	return routing.Connector{Name: "upstream", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts(s.upstream), Transport: routing.SMTP(t)}
}

// signer returns the signer of -dkim-key; nil if there is none.
func (s *submission) signer(k *program.Kit) *dkim.Signer {
	if s.dkimKey == "" {
		return nil
	}
	k.Require("dkim-selector", s.dkimSelector != "")
	k.Require("dkim-domains", len(s.dkimDomains) > 0)
	text := k.SecretFile("dkim-key", s.dkimKey)
	if text == nil {
		return nil
	}
	private, err := dkim.ParsePrivateKey(text)
	if err != nil {
		k.Fault("dkim-key", fmt.Errorf("%s: %w", s.dkimKey, err))
		return nil
	}
	var keys []dkim.Key
	for _, d := range s.dkimDomains {
		key := dkim.Key{Domain: d, Selector: s.dkimSelector, Private: private}
		if err := key.Validate(); err != nil {
			k.Fault("dkim-domains", errors.New(strings.TrimPrefix(err.Error(), "dkim: ")))
		}
		keys = append(keys, key)
	}
	return &dkim.Signer{Keys: dkim.Keys(keys...)}
}
