// Package rewrite shows the world other addresses than an organisation uses
// inside.
//
//	m, err := rewrite.NewMap(
//		rewrite.Entry{Internal: "alice@corp.example", External: "a.smith@example.com"},
//		rewrite.Entry{Internal: "corp.example", External: "example.com"},
//		rewrite.Entry{Internal: "*.corp.example", External: "example.com"},
//	)
//	out := &rewrite.Outbound{Map: m} // for the connector that takes the organisation's mail
//	in := &rewrite.Inbound{Map: m}   // for the one that takes the world's
//
// [Outbound] makes external addresses of internal ones: in the reverse-path
// and in the header fields that say who sends (From, Sender, Reply-To,
// Return-Receipt-To, Disposition-Notification-To, Resent-From,
// Resent-Sender). [Inbound] makes internal addresses of external ones: in the
// recipients, To and Cc. [Masquerade] puts one domain in the place of others
// in what Outbound covers, for hosts that send under their own names.
//
// Only the addresses themselves change: names, comments and folding around them
// stay byte for byte, and so do Received, Message-ID and enclosed messages. A
// DKIM signature that covers a changed field does not survive; sign afterwards.
// Outbound and Masquerade refuse a message with a From field that cannot be
// read, since its author might be an internal address: 550 5.6.0.
package rewrite
