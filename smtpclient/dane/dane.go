// Package dane verifies certificates against TLSA records (RFC 6698, 7671, 7672).
package dane

// A Record is one TLSA record.
type Record struct {
	Usage    uint8 // 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE
	Selector uint8 // 0 full certificate, 1 SubjectPublicKeyInfo
	Matching uint8 // 0 exact, 1 SHA-256, 2 SHA-512
	Data     []byte
}

// An Answer is what a TLSA lookup for one host and port brought, when MX,
// address and TLSA answers were authenticated by DNSSEC.
type Answer struct {
	// Records of the TLSA base domain. No record at all is the same as no
	// Answer; records of which none is usable demand TLS without
	// authentication (RFC 7672, 2.2).
	Records []Record
	// Names are the reference identifiers for DANE-TA: the TLSA base domain
	// and the next-hop domain (RFC 7672, 3.2.2), and the host's original
	// name where CNAMEs were followed.
	Names []string
	// Err is set when the lookup failed (SERVFAIL, bogus, timeout): the host
	// must not be used then (RFC 7672, 2.1.1).
	Err error
}
