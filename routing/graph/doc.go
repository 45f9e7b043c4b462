// Package graph sends mail with the sendMail action of Microsoft Graph. It is for
// tenants of Microsoft 365 that switch off SMTP submission. [Transport] is a
// routing.Transport:
//
//	t := &graph.Transport{
//		Mailbox: "scanner@contoso.com",
//		Token:   source.Token, // func(context.Context) (string, error)
//	}
//	connector := routing.Connector{Name: "graph", Spaces: []string{"*"}, Transport: t}
//
// The application needs the permissions Mail.Send and Mail.Read of Graph, as
// application permissions, with the consent of an administrator of the tenant.
// Mail.Read is only for the search in Sent Items (see below).
//
// # Recipients
//
// A message for Graph has no envelope: Exchange sends it to the addresses in To, Cc
// and Bcc. The transport writes these fields so that they contain exactly the
// recipients of the attempt:
//
//   - A recipient that is neither in To nor in Cc becomes a recipient in Bcc.
//     Exchange removes Bcc before it delivers.
//   - An address in To or Cc that is not a recipient of the attempt is removed. The
//     complete field remains under the name Old-To or Old-Cc. The same applies to a
//     field that programs may read differently.
//   - The fields Bcc and Resent-Bcc of the message are removed.
//
// Addresses are equal if they differ only in case. All other fields and the body
// stay as they are. A message without a Message-ID gets one.
//
// # What Graph cannot send
//
// These messages go to Transport.Fallback, usually a transport for SMTP: messages
// with the null reverse-path (Graph would send them from the mailbox, so that two
// relays could answer each other's reports without end), messages larger than
// MaxSize, messages with REQUIRETLS (RFC 8689), and messages for which Graph answers
// 413, or 200 instead of 202. Without a Fallback, mail with the null reverse-path waits, and
// large messages and those with REQUIRETLS fail. [Transport.Size] is the SIZE for a
// relay without Fallback. The parameters of DSN (RFC 3461) are not sent.
//
// # Results
//
//	answer                               outcome      reply
//	-----------------------------------  -----------  ---------
//	202                                  Success      250 2.0.0
//	no connection, no token              Unreachable  451 4.4.1, 4.7.0
//	400 ErrorInvalidRecipients           Failure      550 5.1.3, for the recipient concerned
//	400, other codes                     Failure      550 5.6.0
//	401, 403                             Unreachable  451 4.7.0
//	403 ErrorSendAsDenied                Failure      550 5.7.60
//	404                                  Unreachable  451 4.3.5
//	413                                  Failure      552 5.3.4, or Fallback
//	429                                  waits; later Unreachable, 451 4.3.2
//	other 2xx, 408, 5xx, lost answer     Sent Items; if not found: Deferred, 451 4.4.2
//	3xx, other 4xx                       Unreachable  451 4.3.5
//
// If Mailbox is empty, the result is Deferred and not Unreachable, except without a
// connection: another sender has another mailbox.
//
// # Duplicates
//
// Graph can send a message and answer 504, or lose the answer. The transport then
// searches Sent Items for the Message-ID. It repeats the search during SearchTime,
// because the item can appear late. A recipient that an item names has the message. If
// there is no item, the result is Deferred. The next attempt searches once more before
// it sends.
//
// An attempt also begins with a search if the process died during an earlier attempt
// (queue.Message.Interrupted; the search is repeated during SearchTime), or if the
// message is older than the process (one search): the process may have been
// stopped between sending and recording.
//
// A second copy is still possible in these cases:
//
//   - The item appears in Sent Items later than the last search before the next
//     attempt: after SearchTime and the retry interval of the queue, or after
//     SearchTime alone if the process died.
//   - The mailbox does not keep sent messages, or the item was deleted.
//   - Exchange has replaced the recipient's address in the item, for example an alias
//     by the primary address.
//   - Mail.Read is not granted (403). The log has a warning, and the next attempt
//     sends.
//   - The message is older than the process, an earlier process was stopped during
//     the attempt, Sent Items cannot be searched, and another connector delivers the
//     message.
//   - A node of a cluster died during the attempt, the message was received after this
//     process started, and the Store does not report it as Interrupted.
//
// The transport wrongly treats a message as sent only if a machine sends two messages with
// the same Message-ID to the same recipient within an hour, Graph loses the second
// one, and the item does not have the field X-Bridgehead-Id, which differs for each
// message.
//
// # Limits
//
// Exchange Online permits 4 requests at a time and 30 messages a minute for each
// mailbox. More attempts are Busy, so that they take no delivery slot. An attempt
// waits up to 65 s for the rate, or for the end of Retry-After.
//
// Retry-After is the only header of throttling that is read: in an answer 429, and in
// 503. Without it, 429 delays the mailbox by one minute. The same applies to the answers
// to a search in Sent Items.
//
// # Not tried with the real Graph
//
// The package was tested with a scripted Graph, which answers as Microsoft documents.
// It was not tried with the real one:
//
//   - From and Send As. The transport does not change From. What Exchange does with a
//     From that differs from the mailbox is not known: with the right Send As, with
//     Send on Behalf, with another address of the same mailbox, and without a right.
//     The answer 403 ErrorSendAsDenied is a failure with 5.7.60. If Exchange accepts the
//     message and replaces From, or sends a report to the mailbox later, the relay does
//     not see that. Use the mailbox's address in From (rewrite.NewMailbox) where the
//     rights are not certain.
//   - Throttling. Which limit of Exchange answers with 429, which with 503 and which
//     with a report to the mailbox after 202, and which values of Retry-After and other
//     headers the answers have.
//   - Sent Items. How late an item appears. SearchTime is an assumption, not a
//     measurement.
//   - Sent Items. Whether Exchange keeps the field X-Bridgehead-Id and the Message-ID of
//     the relay, on which the search depends.
//   - The size. The largest message that a tenant accepts, and the size above which a
//     tenant answers 200 and sends nothing.
package graph
