package policy

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestLoop(t *testing.T) {
	const (
		ours  = "C: Received: from a (by evil.example) by Relay.Example.com with ESMTP; x\n"
		other = "C: Received: from relay.example.com by mx.example.net with ESMTP; x\n"
	)
	for _, tt := range []struct {
		name, fields string
		max          int
		want         string
	}{
		{"eight local hops", strings.Repeat(ours, 8), 0, "250"},
		{"nine local hops", strings.Repeat(ours, 9), 0, "554 5.4.6"},
		{"two local hops, one allowed", ours + other + ours, 1, "554 5.4.6"},
		{"many hops through other hosts", strings.Repeat(other, 20), 0, "250"},
		{"more hops than the limit of the server", strings.Repeat(other, 31), 0, "554 5.4.6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := policytest.New(t, &smtpserver.Server{Hostname: "relay.example.com", Agents: []smtpserver.Agent{(&Loop{MaxLocalHops: tt.max}).Agent()}})
			srv.Talk(t, stranger, envelope+"C: DATA\nS: 354\n"+tt.fields+"C: Subject: x\nC:\nC: .\nS: "+tt.want)
		})
	}
}
