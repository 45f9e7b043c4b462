// Package arcsig makes what ARC (RFC 8617) signs: the canonical forms, hashes
// and fields of RFC 6376 for signatures that are not DKIM-Signature fields.
// DKIM's own are go-msgauth's work, which knows nothing of ARC.
package arcsig
