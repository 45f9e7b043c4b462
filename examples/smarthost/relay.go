package main

import (
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpclient/oauth"
)

// Build implements program.Gateway.
func (s *smarthost) Build(k *program.Kit) program.Rules {
	s.check(k)
	k.Quiet = true
	t := k.Transport("upstream")
	t.Auth, t.TLS = s.credentials(k), smtpclient.TLSPolicy{Level: s.tls}
	t.ImplicitTLS = strings.HasSuffix(s.upstream, ":465") // RFC 8314, 3.3
	t.AllowInsecureAuth = s.tls == smtpclient.TLSNone     // only -tls none permits a password without TLS
	// Everything goes to the upstream.
	table := k.Table(nil, k.Listen("listen", s.listen), routing.Connector{
		Name: "upstream", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts(s.upstream), ReportSender: s.reportSender,
		Transport: routing.SMTP(t), Errors: routing.ErrorPolicy{Explain: oauth.Explain},
	})
	// Only the machines of -allow may send, and to any domain.
	srv := k.Server("internal")
	k.Install("allow", &policy.Gate{Networks: s.allow}, srv)
	return program.Rules{Receive: []program.Receive{{Server: srv, Address: s.listen}}, Table: table}
}
