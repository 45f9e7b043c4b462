package content_test

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// From level 5, messages are marked. From level 7, they are quarantined. From
// level 9, they are refused.
func ExampleFilter() {
	f := &content.Filter{
		Mark: 5, Subject: "[SPAM] ",
		Quarantine: 7, QuarantineTo: "spam@example.com",
		Reject: 9,
	}
	fmt.Println(f.Validate())
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{f.Agent()}}
	fmt.Println(srv.Agents[0].Name)
	// Output:
	// <nil>
	// content filter
}

// Programs are not allowed, also not in archives.
func ExampleAttachments() {
	a := &content.Attachments{
		Names: []string{"*.exe", "*.scr", "*.js", "*.vbs"},
		Types: []string{"application/x-msdownload"},
		Strip: true,
	}
	fmt.Println(a.Validate())
	fmt.Println((&content.Attachments{Names: []string{"[a"}}).Validate())
	// Output:
	// <nil>
	// content: Attachments.Names: bad pattern "[a"
}
