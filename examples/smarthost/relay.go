package main

import (
	"cmp"
	"context"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Build implements program.Gateway.
func (s *smarthost) Build(k *program.Kit) program.Rules {
	s.check(k)
	k.Quiet = true
	k.ReportFrom = cmp.Or(k.ReportFrom, s.sender)
	rules := s.rules(k)
	table := s.table(k, rules, s.credentials(k))
	// Only the machines of -allow may send, and to any domain.
	gate := policy.Gate{Networks: s.allow, Outbound: s.rewriters(k, rules)}
	srv := s.server(k, "internal", smtpserver.TLSOffered, s.allow, gate)
	r := program.Rules{Table: table, Receive: []program.Receive{{Server: srv, Address: s.listen}}}
	if s.listenTLS != "" {
		srv := s.server(k, "internal-tls", smtpserver.TLSImplicit, s.allow, gate) // RFC 8314, 3.3
		r.Receive = append(r.Receive, program.Receive{Server: srv, Address: s.listenTLS, Setting: "listen-tls"})
	}
	if a := s.alarm.build(k); a != nil {
		r.Parts, r.Tasks = []gateway.Inheritor{a}, []func(context.Context) error{a.Run}
	}
	return r
}
