// Package spf asks whether a host may send mail for a domain (Sender Policy
// Framework, RFC 7208).
//
// [Check] is the plain question:
//
//	v := spf.Check(ctx, netip.MustParseAddr("192.0.2.1"), "mail.example.org", "alice@example.org")
//	if v.Result == spf.Fail { ... }
//
// A [Checker] has the settings, and its Agent asks for each message that a
// server receives:
//
//	checker := &spf.Checker{RejectFail: true}
//	srv.Agents = append(srv.Agents, checker.Agent())
//
// Agents that come later find the verdict with [ResultOf]; packages dmarc and
// authres do. By itself a Checker refuses nothing: many domains' Fail is not
// meant that sternly, and DMARC weighs it together with DKIM.
//
// The evaluator is complete: all mechanisms, modifiers and macros, and the
// limits of RFC 7208, 4.6.4 (10 terms that ask DNS, 2 with an empty answer, 10
// names of an mx or of the client, 20 seconds). It passes every case of the
// RFC's test suite. An answer that DNS does not give is a TempError, never a
// result; a record with an error in it is a PermError that names the term.
//
// # Resolvers
//
// A *net.Resolver answers all questions but one kind: it does not ask for
// names with octets other than letters, digits, hyphens and underscores in
// them, as a macro with a local part may yield, and says that there are none.
// A routing.NetResolver asks for those too, and remembers answers.
package spf
