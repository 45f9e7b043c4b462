// Package dmarc decides whether the author whom a message names in From is
// proven by SPF or DKIM, and what the author's domain wants done where not
// (RFC 9989, which obsoletes RFC 7489 and RFC 9091).
//
// A [Checker] draws its conclusions from the verdicts of packages spf and
// dkim, whose agents come before its own:
//
//	spf, dkim := &spf.Checker{}, &dkim.Verifier{}
//	dmarc := &dmarc.Checker{Enforce: true}
//	srv.Agents = append(srv.Agents, spf.Agent(), dkim.Agent(), dmarc.Agent())
//
// Later agents find what came of it with [VerdictOf]; without a session there
// is [Checker.Check].
//
// # Whose policy
//
// Policies and organizational domains are found by the DNS Tree Walk of RFC
// 9989, 4.10, of at most eight queries for a name; the tags psd, np, sp and t
// mean what they say there. With Checker.PublicSuffixList they are found as
// RFC 7489 has it, by the public suffix list that golang.org/x/net/publicsuffix
// brings along, and pct counts.
//
// A record without p= is read as if it had p=none (RFC 9989, 4.7): mail passes
// or fails, sp and np count, and reports go where rua says. If p, sp or np has an
// unknown value, the whole record is read as p=none where rua has a valid URI,
// and else there is no DMARC processing (4.10.1). With Checker.PublicSuffixList
// a record without p= is like one with an unknown value (RFC 7489, 6.6.3).
//
// np asks whether the author's domain exists. A *net.Resolver can only tell
// whether there are addresses, MX or TXT records; a resolver that knows more,
// as routing.NetResolver does, has a method
//
//	NameExists(ctx context.Context, name string) (bool, error)
//
// # When DNS does not answer
//
// A message whose policy cannot be found, or that would fail only because SPF
// or DKIM had a temporary error in an aligned domain, is a [TempError]: it
// neither passes nor fails (RFC 9989, 5.3.6).
//
// # Reports
//
// A [Collector] counts what was seen for each policy domain and day, and makes
// the aggregate reports of RFC 9990 of it, or of RFC 7489. Sending them is up
// to the program; [Checker.Destinations] says where to.
package dmarc
