// Package arc verifies and extends the Authenticated Received Chain (ARC, RFC
// 8617).
//
// A mailing list or a forwarder may change a message. Then SPF and DKIM fail at
// the next host. With ARC, the mailing list records the results of its own checks
// in three signed header fields, which are called a set. The sets of several hosts
// form a chain. The final receiver can verify the chain and use the recorded
// results.
//
// The Agent of a [Verifier] verifies the chain of each message. Later agents read
// its verdict with [VerdictOf], and package authres writes it to the
// Authentication-Results field. A valid chain is only as trustworthy as the hosts
// that sealed it; Verdict.Sealers lists their domains. To trust a sealer, use
// dmarc.Checker.Override.
//
// The Agent of a [Sealer] adds a set to mail that is forwarded. Add it after all
// checks and after all agents that change the message:
//
//	verifier, sealer := &arc.Verifier{}, &arc.Sealer{Key: key}
//	srv.Agents = append(srv.Agents, spf.Agent(), dkim.Agent(), dmarc.Agent(), verifier.Agent(), stamper.Agent(), sealer.Agent())
package arc
