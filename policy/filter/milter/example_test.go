package milter_test

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy/filter/milter"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// The server calls two filters in order.
func ExampleClient() {
	filters := []*milter.Client{
		{Name: "viruses", Address: "/run/clamav/clamav-milter.ctl", Quarantine: "quarantine@example.com"},
		{Name: "spam", Address: "127.0.0.1:11332"},
	}
	srv := &smtpserver.Server{Hostname: "relay.example.com"}
	for _, f := range filters {
		if err := f.Validate(); err != nil {
			fmt.Println(err)
			return
		}
		srv.Agents = append(srv.Agents, f.Agent())
	}
	for _, a := range srv.Agents {
		fmt.Println(a.Name)
	}
	// Output:
	// viruses
	// spam
}
