// Package dsn writes and reads delivery status notifications (DSNs). A mail
// system sends a DSN to report to a sender what happened to a message (RFC
// 3461, 3462, 3464; RFC 6533 for addresses in UTF-8). The package does not
// depend on a queue: a [Report] is a plain struct.
//
//	r := &dsn.Report{
//		To:           "alice@example.com",
//		ReportingMTA: "relay.example.com",
//		Recipients: []dsn.Recipient{{
//			Final:      "bob@example.net",
//			Action:     dsn.Failed,
//			Status:     smtp.EnhancedCode{5, 1, 1},
//			RemoteMTA:  "mx.example.net",
//			Diagnostic: "550 5.1.1 No such user here",
//		}},
//		Original: message,
//	}
//	c, eightBit, err := r.Content()
//
// The report has three parts. The first is for people: what happened, to which
// address, the reply of the remote host, and what the sender can do. The second
// is for programs. The third is the original message or its header.
package dsn
