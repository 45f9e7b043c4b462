// Package arc verifies and extends the Authenticated Received Chain (RFC
// 8617): what hosts on the way have found about a message, each set of
// findings signed, so that a receiver behind a mailing list or a forwarder can
// see that the message was in order before it was changed there.
//
// A [Verifier]'s Agent judges each message and leaves its verdict for later
// agents ([VerdictOf]) and for the Authentication-Results field. What a chain
// that passes is worth depends on who has sealed it: Verdict.Sealers tells. A
// receiver that believes a sealer says so by dmarc.Checker.Override.
//
// A [Sealer]'s Agent adds a set of one's own, for mail that is sent on. Its
// place is behind everything that changes the message and behind the checks:
//
//	verifier, sealer := &arc.Verifier{}, &arc.Sealer{Key: key}
//	srv.Agents = append(srv.Agents, spf.Agent(), dkim.Agent(), dmarc.Agent(), verifier.Agent(), stamper.Agent(), sealer.Agent())
package arc
