package main

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A server that cannot serve is an error, and nothing changes.
func TestUseOfServersThatCannotServe(t *testing.T) {
	server := func(change func(*smtpserver.Server)) *smtpserver.Server {
		srv := &smtpserver.Server{Hostname: "edge.example.com"}
		gate := &policy.Gate{Queue: &queue.Queue{Store: new(memory.Store)}}
		if err := gate.Install(srv); err != nil {
			t.Fatal(err)
		}
		change(srv)
		return srv
	}
	fine := func(*smtpserver.Server) {}
	for name, tt := range map[string]struct {
		change func(*smtpserver.Server)
		want   string
	}{
		"a mode without a certificate": {func(s *smtpserver.Server) { s.TLSMode = smtpserver.TLSRequired }, "TLSMode is TLSRequired, but TLSConfig is nil"},
		"an invalid host name":         {func(s *smtpserver.Server) { s.Hostname = "a b" }, "is not a host name"},
	} {
		before := &rules{internet: server(fine), organization: server(fine), table: new(routing.Table)}
		e := &edge{router: new(routing.Router), internet: new(gateway.Listener), organization: new(gateway.Listener)}
		if err := e.use(before); err != nil {
			t.Fatal(err)
		}
		for _, r := range []*rules{
			{internet: server(tt.change), organization: server(fine), table: new(routing.Table)},
			{internet: server(fine), organization: server(tt.change), table: new(routing.Table)},
		} {
			if err := e.use(r); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error %v, want %q", name, err, tt.want)
			}
			if e.internet.Server != before.internet || e.organization.Server != before.organization {
				t.Errorf("%s: a server was replaced", name)
			}
		}
	}
	// Errors of Replace are returned too.
	e := &edge{router: new(routing.Router), internet: new(gateway.Listener), organization: new(gateway.Listener)}
	if err := e.use(&rules{internet: new(smtpserver.Server), organization: server(fine)}); err == nil || !strings.Contains(err.Error(), "no Handler") {
		t.Errorf("without a Handler: %v", err)
	}
}
