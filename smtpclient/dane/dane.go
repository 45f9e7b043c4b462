package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
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
// the anchor (3.1.2).
func (a *Answer) Verify(chain []*x509.Certificate, now time.Time) error {
	usable := a.Usable()
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

// anchors are the certificates that a DANE-TA record makes trust anchors: the
// issuers in the chain that it matches, or the one that it contains.
func anchors(r Record, chain []*x509.Certificate) []*x509.Certificate {
	var found []*x509.Certificate
	for _, cert := range chain[1:] {
		if r.matches(cert) {
			found = append(found, cert)
		}
	}
	if len(found) == 0 && r.Selector == 0 && r.Matching == 0 {
		if cert, err := x509.ParseCertificate(r.Data); err == nil {
			found = append(found, cert)
		}
	}
	return found
}

// verifyUnder checks chain, dates and names with anchor as the only root.
func (a *Answer) verifyUnder(anchor *x509.Certificate, chain []*x509.Certificate, now time.Time) error {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now}
	opts.Roots.AddCert(anchor)
	for _, cert := range chain[1:] {
		opts.Intermediates.AddCert(cert)
	}
	if _, err := chain[0].Verify(opts); err != nil {
		return err
	}
	var err error
	for _, name := range a.Names {
		name = strings.TrimSuffix(name, ".")
		if name == "" {
			continue
		}
		e := chain[0].VerifyHostname(name)
		if e == nil {
			return nil
		}
		if err == nil {
			err = e
		}
	}
	if err == nil {
		err = errors.New("no name to check the certificate for")
	}
	return err
}
