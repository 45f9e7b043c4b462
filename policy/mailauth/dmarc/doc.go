// Package dmarc checks whether SPF or DKIM authenticates the domain of the
// author (From) of a message. If the domain is not authenticated, the package
// applies the policy that the domain publishes in DNS (RFC 9989, which
// obsoletes RFC 7489 and RFC 9091).
//
// A [Checker] uses the verdicts of packages spf and dkim. Add its Agent after
// theirs:
//
//	spf, dkim := &spf.Checker{}, &dkim.Verifier{}
//	dmarc := &dmarc.Checker{Enforce: true}
//	srv.Agents = append(srv.Agents, spf.Agent(), dkim.Agent(), dmarc.Agent())
//
// Later agents read the verdict with [VerdictOf]. [Checker.Check] checks a message
// without a session.
//
// # Finding the policy
//
// The package finds policies and organizational domains by the DNS Tree Walk
// (RFC 9989, 4.10), with at most eight queries for a name. It supports the tags
// psd, np, sp and t. With Checker.PublicSuffixList it uses the older method of
// RFC 7489 instead: the public suffix list of golang.org/x/net/publicsuffix. Then
// it also supports pct.
//
// A record without p= counts as p=none (RFC 9989, 4.7): messages pass or fail,
// sp and np apply, and reports are sent to rua. A record in which p, sp or np
// has an unknown value counts as p=none if its rua has a valid URI, and is
// ignored otherwise (RFC 9989, 4.10.1). With Checker.PublicSuffixList a missing
// p= counts as an unknown value (RFC 7489, 6.6.3).
//
// The tag np applies if the author's domain does not exist. With a
// policy.NetResolver, which does not distinguish NXDOMAIN from a name without
// records, a domain exists if it has address, MX or TXT records. A
// routing.DNSResolver gives an exact answer.
//
// # DNS errors
//
// The result is [TempError] if DNS does not answer a query for the policy. It is
// also TempError if the message would fail only because SPF or DKIM has a
// temporary error for an aligned domain (RFC 9989, 5.3.6).
//
// # Reports
//
// A [Collector] counts messages for each policy domain and day. It makes aggregate
// reports in the form of RFC 9990 or RFC 7489. The program must send the reports;
// [Checker.Destinations] returns their destinations.
package dmarc
