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

// A Record is a TLSA record (RFC 6698).
type Record struct {
	Usage    uint8
	Selector uint8 // 0 full certificate, 1 SubjectPublicKeyInfo
	Matching uint8 // 0 exact, 1 SHA-256, 2 SHA-512
	Data     []byte
}

// String returns the record as in a zone file: "3 1 1 0c72ac70...".
func (r Record) String() string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.Matching, r.Data)
}

// Usable reports whether mail can use the record: its usage, selector and
// matching type are known and allowed for mail, and its data is valid.
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

// matches reports whether the record matches cert, without regard to its
// usage.
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

// An Answer is the result of a TLSA lookup for one host and port. The MX,
// address and TLSA records must be authenticated by DNSSEC.
type Answer struct {
	// Records are the records of the TLSA base domain. An Answer without
	// records is the same as no Answer. If there are records but none is
	// usable, TLS without authentication is required (RFC 7672, 2.2).
	Records []Record
	// Names are the reference identifiers. The first is the TLSA base domain,
	// where the records were found; it is also the server name in the
	// handshake (SNI, RFC 7672, 8.1). The others are further names that a
	// certificate under a DANE-TA record can have: the next-hop domain, and
	// the original name of the host if CNAMEs were followed (RFC 7672, 3.2.2).
	Names []string
	// Err is set if the lookup failed (SERVFAIL, invalid signatures, timeout).
	// The host must then not be used (RFC 7672, 2.1.1).
	Err error
}

// Usable returns the records that mail can use.
func (a *Answer) Usable() []Record {
	var usable []Record
	for _, r := range a.Records {
		if r.Usable() {
			usable = append(usable, r)
		}
	}
	return usable
}

// strongest removes records whose digest is weaker than that of another record
// with the same usage and selector (RFC 7671, 9). All records must be usable.
func strongest(records []Record) []Record {
	var best [EE + 1][2]uint8 // matching type, by usage and selector: SHA-512 has the highest number
	for _, r := range records {
		best[r.Usage][r.Selector] = max(best[r.Usage][r.Selector], r.Matching)
	}
	return slices.DeleteFunc(records, func(r Record) bool {
		return r.Matching != 0 && r.Matching != best[r.Usage][r.Selector]
	})
}

// Errors of Verify, possibly wrapped. Test for them with errors.Is. If a trust
// anchor matches a record but does not validate the certificate, Verify returns
// the error of package crypto/x509 instead.
var (
	// ErrUnusable: there are records, but mail cannot use any of them.
	ErrUnusable = errors.New("no usable TLSA record")
	// ErrNoMatch: no usable record matches the certificates of the host.
	ErrNoMatch = errors.New("no TLSA record matches the certificate")
)

// Verify verifies the certificates of a host at the time now. The host's own
// certificate comes first in chain. Verify returns nil if a usable record
// authenticates the host.
//
// A DANE-EE record (usage 3) needs only to match the host's own certificate.
// Names and dates in the certificate are ignored (RFC 7672, 3.1.1). For a
// DANE-TA record (usage 2), the certificate must be valid at that time, have
// one of the names, and chain to the trust anchor (RFC 7672, 3.1.2). The names
// are the DNS names in the certificate, or its common names if it has no DNS
// names (RFC 7671, 5.2.2 and RFC 6125, 6.4.4).
//
// Among usable records with the same usage and selector, Verify uses only
// those with the strongest digest and those without a digest (digest agility,
// RFC 7671, 9).
func (a *Answer) Verify(chain []*x509.Certificate, now time.Time) error {
	usable := strongest(a.Usable())
	if len(usable) == 0 {
		return ErrUnusable
	}
	if len(chain) == 0 {
		return fmt.Errorf("%w: the host sent no certificate", ErrNoMatch)
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
