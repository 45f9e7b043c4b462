package scan_test

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/scan"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Infected messages are refused. Spam is rated, and then marked or refused.
func Example() {
	virus := &scan.Clamd{Address: "/run/clamav/clamd.ctl"}
	spam := &scan.Spamd{Address: "127.0.0.1:783"}
	act := &content.Filter{Mark: 5, Subject: "[SPAM] ", Reject: 9}
	srv := &smtpserver.Server{}
	for _, a := range []interface {
		Validate() error
		Agent() smtpserver.Agent
	}{virus, spam, act} {
		if err := a.Validate(); err != nil {
			fmt.Println(err)
			return
		}
		srv.Agents = append(srv.Agents, a.Agent())
		fmt.Println(a.Agent().Name)
	}
	// Output:
	// clamd
	// spamd
	// content filter
}

// A web service checks the messages.
func ExampleHTTP() {
	h := &scan.HTTP{URL: "https://scan.example.com/check", Quarantine: "quarantine@example.com"}
	fmt.Println(h.Validate())
	// Output: <nil>
}
