// Package rewrite replaces the internal addresses of an organization by
// external addresses in outgoing mail, and external addresses by internal
// addresses in incoming mail.
//
//	m, err := rewrite.NewMap(
//		rewrite.Entry{Internal: "alice@corp.example", External: "a.smith@example.com"},
//		rewrite.Entry{Internal: "corp.example", External: "example.com"},
//		rewrite.Entry{Internal: "*.corp.example", External: "example.com"},
//	)
//	out := &rewrite.Outbound{Map: m} // for the receive connector for mail from inside
//	in := &rewrite.Inbound{Map: m}   // for the receive connector for mail from outside
//
// There are these kinds of rewriting:
//
//   - [Outbound] replaces internal addresses by external ones in the
//     reverse-path and in the header fields that name a sender: From, Sender,
//     Reply-To, Return-Receipt-To, Disposition-Notification-To, Resent-From and
//     Resent-Sender.
//   - [Inbound] replaces external addresses by internal ones in the recipients
//     and in the header fields To and Cc.
//   - [Masquerade] replaces several domains by one, in the same places as
//     Outbound. It is for hosts that send mail with their host name as domain.
//   - [Mailbox] sends the mail of many senders as one mailbox, for a provider that
//     permits no other sender. The former authors become Reply-To.
//   - [Primary] replaces the addresses of senders by the primary addresses that a
//     directory has for their mailboxes, such as ldap.Primary.
//   - [Complete] adds a domain to addresses that have none.
//
// Except by Mailbox, only the addresses themselves change. Display names, comments and
// folding around them stay byte for byte the same. Received and Message-ID fields and
// enclosed messages also stay the same. A change breaks a DKIM signature that
// covers the field, so sign after rewriting.
//
// If the From field of a message cannot be parsed, Outbound, Masquerade and
// Primary refuse the message with 550 5.6.0, because its author could be an internal
// address.
package rewrite
