package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Certificate usages (RFC 7218).
const (
	PKIXTA uint8 = 0 // not used for mail: RFC 7672, 3.1.3
	PKIXEE uint8 = 1 // not used for mail: RFC 7672, 3.1.3
	TA     uint8 = 2 // a trust anchor in the host's chain
	EE     uint8 = 3 // the host's own certificate
)

// A Record is one TLSA record.
type Record struct {
	Usage    uint8
	Selector uint8 // 0 full certificate, 1 SubjectPublicKeyInfo
	Matching uint8 // 0 exact, 1 SHA-256, 2 SHA-512
	Data     []byte
}

// String is the record as in a zone file: "3 1 1 0c72ac70...".
func (r Record) String() string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.Matching, r.Data)
}

// Usable says whether mail can make use of the record: a usage, selector and
// matching type that are known and allowed, and data of the right length.
func (r Record) Usable() bool {
	if r.Usage != TA && r.Usage != EE || r.Selector > 1 {
		return false
	}
	switch r.Matching {
	case 0:
		if r.Selector == 1 {
			_, err := x509.ParsePKIXPublicKey(r.Data)
			return err == nil
		}
		_, err := x509.ParseCertificate(r.Data)
		return err == nil
	case 1:
		return len(r.Data) == sha256.Size
	case 2:
		return len(r.Data) == sha512.Size
	}
	return false
}

// matches says whether the record is about cert, its usage aside.
func (r Record) matches(cert *x509.Certificate) bool {
	data := cert.Raw
	if r.Selector == 1 {
		data = cert.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case 0:
		return bytes.Equal(r.Data, data)
	case 1:
		sum := sha256.Sum256(data)
		return bytes.Equal(r.Data, sum[:])
	case 2:
		sum := sha512.Sum512(data)
		return bytes.Equal(r.Data, sum[:])
	}
	return false
}

// An Answer is what a TLSA lookup for one host and port brought, when MX,
// address and TLSA answers were authenticated by DNSSEC.
type Answer struct {
	// Records of the TLSA base domain. No record at all is the same as no
	// Answer; records of which none is usable demand TLS without
	// authentication (RFC 7672, 2.2).
	Records []Record
	// Names are the reference identifiers: first the TLSA base domain, under
	// which the records were found and which the handshake asks for (SNI,
	// RFC 7672, 8.1), then the other names that a certificate under a DANE-TA
	// record may have: the next-hop domain, and the host's original name
	// where CNAMEs were followed (3.2.2).
	Names []string
	// Err is set when the lookup failed (SERVFAIL, bogus, timeout): the host
	// must not be used then (RFC 7672, 2.1.1).
	Err error
}

// Usable are the records that mail can make use of.
func (a *Answer) Usable() []Record {
	var usable []Record
	for _, r := range a.Records {
		if r.Usable() {
			usable = append(usable, r)
		}
	}
	return usable
}

// strongest leaves out the usable records with a digest for which there are others,
// with the same usage and selector, with a stronger one (RFC 7671, 9).
func strongest(records []Record) []Record {
	var best [EE + 1][2]uint8 // matching type, by usage and selector: SHA-512 has the highest number
	for _, r := range records {
		best[r.Usage][r.Selector] = max(best[r.Usage][r.Selector], r.Matching)
	}
	return slices.DeleteFunc(records, func(r Record) bool {
		return r.Matching != 0 && r.Matching != best[r.Usage][r.Selector]
	})
}

// Errors that Verify returns, wrapped; test with errors.Is.
var (
	// ErrUnusable: there are records, but none that mail can make use of.
	ErrUnusable = errors.New("no usable TLSA record")
	// ErrNoMatch: no usable record matches what the host showed.
	ErrNoMatch = errors.New("no TLSA record matches the certificate")
)

// Verify checks the certificates that a host showed, its own one first. nil
// means that a usable record vouches for the host.
//
// A DANE-EE record vouches by matching alone: names and dates in the
// certificate mean nothing then (RFC 7672, 3.1.1). A DANE-TA record vouches
// for certificates with one of the names, in their time, whose chain leads to
// the anchor (3.1.2). The names are the certificate's DNS names, or its common
// names where it has no DNS name (RFC 7671, 5.2.2 and RFC 6125, 6.4.4).
//
// Of the usable records with the same usage and selector, only those with the
// strongest digest count, besides those without a digest (digest agility,
// RFC 7671, 9).
func (a *Answer) Verify(chain []*x509.Certificate, now time.Time) error {
	usable := strongest(a.Usable())
	if len(usable) == 0 {
		return ErrUnusable
	}
	if len(chain) == 0 {
		return fmt.Errorf("%w: the host showed none", ErrNoMatch)
	}
	for _, r := range usable {
		if r.Usage == EE && r.matches(chain[0]) {
			return nil
		}
	}
	err := ErrNoMatch
	for _, r := range usable {
		if r.Usage != TA {
			continue
		}
		for _, anchor := range anchors(r, chain) {
			if e := a.verifyUnder(anchor, chain, now); e == nil {
				return nil
			} else if err == ErrNoMatch {
				err = fmt.Errorf("trust anchor %q of TLSA %d %d %d: %w", anchor.Subject, r.Usage, r.Selector, r.Matching, e)
			}
		}
	}
	return err
}
