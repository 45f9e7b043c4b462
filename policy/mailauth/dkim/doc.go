// Package dkim verifies and makes DKIM signatures (RFC 6376, with the
// algorithms of RFC 8301 and RFC 8463: RSA and Ed25519 over SHA-256).
//
// [Verify] is the plain question about a message with CRLF line ends:
//
//	verdict, err := dkim.Verify(ctx, r)
//	for _, s := range verdict.Signatures {
//		fmt.Println(s.Domain, s.Result, s.Err)
//	}
//
// A [Verifier] has the settings, and its Agent judges each message that a
// server receives; later agents find the verdict with [VerdictOf]. It refuses
// nothing: RFC 6376, 6.1 wants a signature that fails treated as one that is
// not there. Package dmarc draws conclusions.
//
// A [Signer] signs what a server's own users send:
//
//	signer := &dkim.Signer{Keys: dkim.Keys(dkim.Key{Domain: "example.com", Selector: "s1", Private: key})}
//	srv.Agents = append(srv.Agents, signer.Agent())
//	q.Hooks = append(q.Hooks, signer.Hook()) // and what the queue and the program itself send
//
// [Key.Record] is the text to publish in DNS. Several keys for one domain make
// several signatures (an RSA key and an Ed25519 key); keys are rotated by
// giving them NotBefore and NotAfter, or by a Keys function of one's own.
//
// # go-msgauth
//
// github.com/emersion/go-msgauth/dkim makes and checks signatures. This package
// finds the keys, with contexts and temporary errors, chooses them for signing,
// and gives verdicts in the words of RFC 8601. Some correct signatures
// go-msgauth cannot judge: i= in quoted-printable or in other letters than d=,
// "b=" in the value of another tag, DKIM-Signature in h=. On some messages its
// time grows with the square of their size: more than 256 names in h=, fields
// of very many lines, 64 KiB of white space in the body. For these the engine of
// package arc does the work.
//
// # What does not pass
//
//   - [Policy]: every signature with l=, since anybody can add to such a message
//     (RFC 6376, 8.2), and every one that has expired.
//   - [PermError]: rsa-sha1, keys under 1024 bits (RFC 8301) or over 8192, keys
//     that are revoked, not for email or not for SHA-256, an i= that the key
//     does not allow (t=s), a From that is not signed.
//   - [TempError]: DNS does not answer.
//   - [Neutral]: syntax errors, empty tags (";;") included.
//
// Of many signatures the first ten count.
//
// # Line ends
//
// A bare LF counts as CRLF and a bare CR as a space, in header and body: package
// smtpclient sends them so. Content from SMTP has none.
//
// # Limits
//
// The time to verify or sign is linear in the size of the message. Where the
// body is read from something that cannot seek, 64 KiB of white space in it give
// [Policy], and are an error of Sign: the body cannot be read a second time. The
// agents and the Hook have no such limit. A [Signer] signs up to 1,000 fields of
// one message; its Agent and its Hook refuse a message with more, with 554.
package dkim
