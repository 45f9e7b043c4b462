package rewrite_test

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy/filter/rewrite"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// The organization uses addresses in corp.example inside, and addresses in
// example.com outside.
func ExampleNewMap() {
	m, err := rewrite.NewMap(
		rewrite.Entry{Internal: "alice@corp.example", External: "a.smith@example.com"},
		rewrite.Entry{Internal: "corp.example", External: "example.com"},
		rewrite.Entry{Internal: "*.corp.example", External: "example.com"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Out("alice@corp.example"))
	fmt.Println(m.Out("cron@web1.corp.example"))
	fmt.Println(m.In("a.smith@example.com"))

	inside := &smtpserver.Server{Agents: []smtpserver.Agent{(&rewrite.Outbound{Map: m}).Agent()}}
	outside := &smtpserver.Server{Agents: []smtpserver.Agent{(&rewrite.Inbound{Map: m}).Agent()}}
	fmt.Println(inside.Agents[0].Name)
	fmt.Println(outside.Agents[0].Name)
	// Output:
	// a.smith@example.com true
	// cron@example.com true
	// alice@corp.example true
	// address rewriting out
	// address rewriting in
}

// Mail from all hosts in corp.example gets addresses in example.com, except mail
// from root.
func ExampleMasquerade() {
	q := &rewrite.Masquerade{Domain: "example.com", Domains: []string{"corp.example"}, Except: []string{"root"}}
	fmt.Println(q.Validate())
	// Output: <nil>
}

// The account at the provider may send only as relay@example.com, and as the alarm.
func ExampleNewMailbox() {
	b, err := rewrite.NewMailbox("relay@example.com", "alarm@example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{b.Agent()}}
	fmt.Println(len(srv.Agents), b.Keeps("alarm@example.com"), b.Keeps("scanner@printer.local"))
	// Output: 1 true false
}
