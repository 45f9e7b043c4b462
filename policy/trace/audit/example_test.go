package audit_test

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy/trace/audit"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Print the trail of each message, and read counters for a metrics page.
func ExampleAudit() {
	a := &audit.Audit{Sink: func(t *audit.Trail) { fmt.Print(t) }}
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{{Name: "my agent"}}}
	srv.Agents = a.Wrap(srv.Agents)
	srv.Handler = a.Handler(smtpserver.HandlerFunc(nil)) // a placeholder for a real Handler
	for _, c := range a.Counters() {
		fmt.Println(c.Agent, c.Event, c.Calls)
	}
	// Output: handler receive 0
}

// Write the trail of each message to files. A gateway closes the log when it is in its
// Closers.
func ExampleLog() {
	trails := audit.NewLog(&audit.Files{Dir: "/var/log/relay"})
	defer trails.Close()
	a := &audit.Audit{Sink: trails.Add}
	srv := &smtpserver.Server{}
	srv.Agents = a.Wrap(srv.Agents)
}
