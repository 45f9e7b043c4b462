// Package dkim verifies and creates DKIM signatures (RFC 6376). It supports RSA
// and Ed25519 with SHA-256 (RFC 8301, RFC 8463).
//
// [Verify] verifies the signatures of one message:
//
//	verdict, err := dkim.Verify(ctx, r)
//	for _, s := range verdict.Signatures {
//		fmt.Println(s.Domain, s.Result, s.Err)
//	}
//
// A [Verifier] has settings. Its Agent verifies each message that a server
// receives, and later agents read the verdict with [VerdictOf]. The agent refuses
// no message, because a message with an invalid signature must be treated like
// one without a signature (RFC 6376, 6.1). Package dmarc evaluates the verdict.
//
// A [Signer] signs the messages of a server's own users:
//
//	signer := &dkim.Signer{Keys: dkim.Keys(dkim.Key{Domain: "example.com", Selector: "s1", Private: key})}
//	srv.Agents = append(srv.Agents, signer.Agent())
//	q.Hooks = append(q.Hooks, signer.Hook()) // signs messages that the queue or the program makes
//
// [Key.Record] returns the TXT record to publish in DNS. A message gets one
// signature for each key of the domain, for example an RSA key and an Ed25519
// key. To rotate keys, set NotBefore and NotAfter, or write your own Keys
// function.
//
// # go-msgauth
//
// The library github.com/emersion/go-msgauth/dkim creates and verifies the
// signatures. This package looks up the keys, selects the keys for signing, and
// reports the results of RFC 8601.
//
// For two kinds of messages, this package uses its own code instead, which it
// shares with package arc:
//
//   - Messages with a signature that go-msgauth cannot verify, although it may
//     be valid: i= is in quoted-printable or in another letter case than d=,
//     the value of another tag contains "b=", or h= contains DKIM-Signature.
//   - Messages for which the running time of go-msgauth is quadratic: more than
//     256 names in h=, fields with very many lines, or 64 KiB of white space in
//     the body.
//
// # Results other than Pass
//
//   - [Fail]: the header or the body does not match the signature.
//   - [Policy]: the signature has l=, so anyone could append text to the message
//     (RFC 6376, 8.2), or it has expired.
//   - [PermError]: rsa-sha1; an RSA key of less than 1024 bits (RFC 8301) or more
//     than 8192 bits; a key that does not exist, is revoked, is not for email or
//     not for SHA-256; an i= that the key does not allow (t=s); From is not
//     signed.
//   - [TempError]: DNS did not answer.
//   - [Neutral]: a syntax error, for example an empty tag (";;").
//
// By default the first ten signatures are verified (Verifier.MaxSignatures).
//
// # Line ends
//
// A bare LF counts as CRLF, and a bare CR counts as a space, in header and body.
// Package smtpclient sends them in this form. Content received by SMTP has
// neither.
//
// # Limits
//
// The time to verify or sign a message is linear in its size. A header longer
// than 1 MiB is an error of Verify and Sign.
//
// A body with 64 KiB of successive white space must be read twice. If the
// io.Reader cannot seek, the result of Verify for such a message is [Policy],
// and Sign returns an error. The agents and the hook do not have this limit.
//
// A [Signer] signs at most 1,000 header fields of a message. Its Agent and Hook
// refuse messages with more fields to sign: 554 5.6.0.
package dkim
