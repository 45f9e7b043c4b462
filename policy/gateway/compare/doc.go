// Package compare finds out what a new routing table or a new set of accepted
// domains would change, before it takes effect. It decides again about the mail in
// the message tracking log, with the settings in use and with the new ones.
//
//	c := &compare.Comparison{
//		Gateway:   relay,
//		Candidate: compare.Candidate{Table: table, Domains: domains},
//	}
//	yesterday := time.Now().Add(-24 * time.Hour)
//	result, err := c.Log(ctx, "/var/log/bridgehead/tracking", yesterday, time.Now())
//	fmt.Print(result)
//
// The result shows, for each recipient domain, how much mail would take another
// route, wait, fail, or be refused, and how much that was refused would be accepted,
// with examples. Nothing is sent, the DNS is not queried, and the settings in use do
// not change.
//
// # What is compared
//
// The lines RECEIVE of the log have the mail that was accepted. For each recipient
// there are two decisions:
//
//   - Is the domain of the recipient an accepted domain of the receive connector, and
//     of which kind? If it is not, may the client relay? The log has its address, and
//     whether it was authenticated; the policy.Gate of the connector decides by that.
//     A message with a recipient outside of the accepted domains shows that its
//     client was allowed to relay.
//   - Which send connector and next hop does the routing table choose, or why does the
//     message wait or fail? Schedules are those of the time at which the message was
//     received.
//
// The lines REJECT of the log have recipients that were refused because the client
// may not relay. If their domain is one of the new accepted domains, they would be
// accepted. What was refused for another reason is not compared.
//
// # What cannot be known
//
// The log does not contain everything that a relay uses to decide:
//
//   - The identity, host name and certificate of a client. If the right to relay
//     depends on them, the change is [MaybeRefused]. A send connector with
//     Scope.Identities takes no mail.
//   - The content, and the parameters of MAIL and RCPT. Other policies are assumed to
//     decide as they did. Directories are not asked: a recipient that was accepted is
//     assumed to exist.
//   - The recipients before they were rewritten, and the next hop that an agent, a
//     Domain.Unresolved or an operator chose for a recipient.
//   - The recipients of refusals that the log counts in one line, because a client
//     caused many of them.
//   - Which hosts were down. The connectors for that case (Connector.Fallback) are not
//     used.
//
// [Result.Notes] names those of these points that are relevant to a result.
package compare
