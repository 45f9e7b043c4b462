package firewall_test

import (
	"fmt"
	"net"

	"github.com/bridgehead-mail/bridgehead/policy/filter/firewall"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A relay at the boundary of an organization removes internal header fields
// from incoming mail, marks this mail, and removes internal fields from
// outgoing mail.
func Example() {
	fromOurs := func(s *smtpserver.Session) bool {
		host, _, err := net.SplitHostPort(s.RemoteAddr().String())
		return err == nil && host == "10.1.0.25"
	}
	in := &firewall.Inbound{Trusts: fromOurs}
	tag := &firewall.External{Subject: "[EXTERNAL] ", Inside: fromOurs}
	out := new(firewall.Outbound)
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{in.Agent(), tag.Agent()}}
	q := &queue.Queue{Hooks: []queue.Hook{out.Hook()}}
	fmt.Println(srv.Agents[0].Name)
	fmt.Println(srv.Agents[1].Name)
	fmt.Println(q.Hooks[0].Name)
	// Output:
	// header firewall
	// external
	// header firewall out
}
