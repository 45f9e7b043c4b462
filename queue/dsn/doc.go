// Package dsn writes and reads delivery status notifications: the reports by
// which a mail system tells a sender what became of a message (RFC 3461,
// 3462, 3464; RFC 6533 for addresses in UTF-8). It knows nothing of queues: a
// [Report] is a plain struct.
//
//	r := &dsn.Report{
//		To:           "alice@example.com",
//		ReportingMTA: "relay.example.com",
//		Recipients: []dsn.Recipient{{
//			Final:      "nobody@example.net",
//			Action:     dsn.Failed,
//			Status:     smtp.EnhancedCode{5, 1, 1},
//			RemoteMTA:  "mx.example.net",
//			Diagnostic: "550 5.1.1 No such user here",
//		}},
//		Original: message,
//	}
//	c, eightBit, err := r.Content()
//
// The report has three parts: one for people, with what happened, to which
// address, the remote host's own words and what to do; one for machines; and
// the original message, or its header.
package dsn
