package dsn_test

import (
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// Write a report, and read it.
func Example() {
	r := &dsn.Report{
		To:           "alice@example.com",
		ReportingMTA: "relay.example.com",
		Recipients: []dsn.Recipient{{
			Final:      "bob@example.net",
			Action:     dsn.Failed,
			Status:     smtp.EnhancedCode{5, 1, 1},
			RemoteMTA:  "mx.example.net",
			Diagnostic: "550 5.1.1 No such user here",
		}},
		Original: strings.NewReader("Subject: Lunch\r\n\r\nAt noon?\r\n"),
	}
	c, _, err := r.Content()
	if err != nil {
		fmt.Println(err)
		return
	}
	got, err := dsn.Parse(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, rc := range got.Recipients {
		fmt.Println(rc.Final, rc.Action, rc.Status, rc.RemoteMTA, "said", rc.Diagnostic)
	}
	// Output: bob@example.net failed [5 1 1] mx.example.net said 550 5.1.1 No such user here
}
