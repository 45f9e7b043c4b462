package content_test

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// From level 5 on the recipients see that it is spam, from 7 on they do not
// get it, and from 9 on it does not come in.
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

// No programs, also not within archives.
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
