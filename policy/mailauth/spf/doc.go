// Package spf checks whether a host is authorized to send mail for a domain
// (Sender Policy Framework, RFC 7208).
//
// [Check] checks one sender:
//
//	v := spf.Check(ctx, netip.MustParseAddr("192.0.2.1"), "mail.example.org", "alice@example.org")
//	if v.Result == spf.Fail { ... }
//
// A [Checker] has settings. Its Agent checks the sender of each message that a
// server receives:
//
//	checker := &spf.Checker{RejectFail: true}
//	srv.Agents = append(srv.Agents, checker.Agent())
//
// Later agents, such as those of packages dmarc and authres, read the verdict
// with [VerdictOf]. By default a Checker refuses no mail: forwarded mail often
// fails SPF, and DMARC evaluates SPF together with DKIM.
//
// The package implements all mechanisms, modifiers and macros of RFC 7208. It
// passes all cases of the RFC's test suite. It applies the limits of section
// 4.6.4: at most 10 terms may cause DNS queries, and at most 2 of these terms
// may get an empty answer. At most 10 names of an mx mechanism, and at most 10
// names in the client's PTR records, are used. A check takes at most 20
// seconds. If DNS does not answer, the result is TempError. If a record has a
// syntax error, the result is PermError, and the error names the term.
//
// # Resolvers
//
// A policy.NetResolver sends no query for a name that has octets other than
// letters, digits, hyphens and underscores. It reports that such a name does not
// exist. A macro that expands to a local part can produce such names. A
// routing.DNSResolver sends these queries too, and caches answers.
package spf
