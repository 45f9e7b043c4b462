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
//
// [Key.Record] is the text to publish in DNS. Several keys for one domain make
// several signatures (an RSA key and an Ed25519 key); keys are rotated by
// giving them NotBefore and NotAfter, or by a Keys function of one's own.
//
// # What is strict
//
// A body that goes on after the part that is signed (l=) gives [Policy], not
// [Pass]: anybody can add to such a message. Keys under 1024 bits and
// rsa-sha1 are errors. The header field From must be signed. Of many
// signatures the first ten count. When DNS does not answer, the result is
// [TempError].
package dkim
