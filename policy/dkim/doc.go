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
// server receives; later agents find the verdict with [ResultOf]. It refuses
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
// # What is go-msgauth's, and what is not
//
// Signatures are made and checked by github.com/emersion/go-msgauth/dkim, which
// does the canonical forms, the hashes and the cryptography. This package finds
// the keys, with contexts and temporary errors, chooses them for signing, turns
// away what is not worth the work, and gives verdicts in the words of RFC 8601.
// No signature passes here that go-msgauth does not find good.
//
// What is turned away before that:
//
//   - [Policy]: every signature with l=, since anybody can add to such a message
//     (RFC 6376, 8.2), and every one that has expired.
//   - [PermError]: rsa-sha1, keys under 1024 bits (RFC 8301) or over 8192, keys
//     that are revoked, not for email or not for SHA-256, an i= that the key
//     does not allow (t=s), a From that is not signed.
//   - [TempError]: DNS does not answer.
//   - [Neutral]: syntax errors.
//
// Of many signatures the first ten count.
//
// # Limits
//
// go-msgauth's time grows with the square of the number of names in h=, of the
// lines of a field and of the empty lines in a body, so these are bounded. A
// signature gives [Policy] with more than 256 names, or where the fields that
// it signs in the simple form have too many lines (a field of 1,000 lines and
// 64 KiB may be signed; in the relaxed form any may); all of a message's do if
// 64 KiB of its body on end are white space. The time that is left is some
// milliseconds for each signature and MiB, ten signatures at most. A [Signer]
// has the same limits, and one more: the names of the signed fields have to fit
// on one line of 998 octets. Its Agent refuses other messages with 554.
//
// Three kinds of good signatures go-msgauth does not find good. They give
// [Neutral], or Fail where nobody can tell:
//
//   - i= writes the domain in other letters than d= does (Example.org).
//   - "b=" stands in the value of another tag than b= (i=bob=x@example.org), or
//     another tag's name ends in b.
//   - h= has DKIM-Signature more often than there are others: the signature
//     itself is then taken for one of them (Fail).
//
// A bare LF in a body counts as CRLF.
package dkim
