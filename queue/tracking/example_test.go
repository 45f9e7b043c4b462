package tracking_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

// Find out what happened to the mail for one recipient.
func ExampleSearch() {
	dir, err := os.MkdirTemp("", "tracking")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	const log = `#Fields: ...
2026-11-21T12:00:00.000Z,192.0.2.1,pc,,relay.example.com,,default,SMTP,RECEIVE,m1,<1@example.com>,bob@example.net,,512,1,,,Lunch,alice@example.com,<alice@example.com>,event=1019,Incoming
2026-11-21T12:00:01.000Z,,relay.example.com,192.0.2.25,mx.example.net,,internet,SMTP,SEND,m1,<1@example.com>,bob@example.net,250 2.0.0 Ok,512,1,,,Lunch,alice@example.com,<alice@example.com>,event=1031,Incoming
`
	if err := os.WriteFile(filepath.Join(dir, "MSGTRK20261121-1.log"), []byte(log), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	for e, err := range tracking.Search(dir, tracking.Filter{Recipient: "bob@*"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Time.Format("15:04:05"), e.Event, e.Sender, e.Recipients)
	}
	// Output:
	// 12:00:00 RECEIVE alice@example.com [bob@example.net]
	// 12:00:01 SEND alice@example.com [bob@example.net]
}
