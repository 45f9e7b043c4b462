package dane

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math"
	"strings"
	"time"
)

// anchors returns the trust anchors of a DANE-TA record: the issuers in the
// chain that match the record, or the certificate or key in the record itself.
func anchors(r Record, chain []*x509.Certificate) []*x509.Certificate {
	var found []*x509.Certificate
	for _, cert := range chain[1:] {
		if r.matches(cert) {
			found = append(found, cert)
		}
	}
	if len(found) > 0 || r.Matching != 0 {
		return found
	}
	if r.Selector == 1 {
		return keyAnchors(r.Data, chain)
	}
	if cert, err := x509.ParseCertificate(r.Data); err == nil {
		found = append(found, cert)
	}
	return found
}

// keyAnchors returns a substitute for each issuer that is not in the chain and
// has the public key spki (RFC 7671, 5.2.3: a host need not send the anchor of
// a "2 1 0" record).
func keyAnchors(spki []byte, chain []*x509.Certificate) []*x509.Certificate {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil
	}
	algorithm := x509.UnknownPublicKeyAlgorithm
	switch key.(type) {
	case *rsa.PublicKey:
		algorithm = x509.RSA
	case *ecdsa.PublicKey:
		algorithm = x509.ECDSA
	case ed25519.PublicKey:
		algorithm = x509.Ed25519
	}
	var found []*x509.Certificate
	for _, cert := range chain {
		issuer := &x509.Certificate{
			Raw: spki, RawSubjectPublicKeyInfo: spki, RawSubject: cert.RawIssuer, Subject: cert.Issuer,
			PublicKey: key, PublicKeyAlgorithm: algorithm,
			Version: 3, BasicConstraintsValid: true, IsCA: true, MaxPathLen: -1,
			NotAfter: time.Unix(math.MaxInt32, 0).AddDate(1000, 0, 0), // a key has no dates
		}
		if cert.CheckSignatureFrom(issuer) == nil {
			found = append(found, issuer)
		}
	}
	return found
}

// verifyUnder verifies the chain, dates and names with anchor as the only
// root.
func (a *Answer) verifyUnder(anchor *x509.Certificate, chain []*x509.Certificate, now time.Time) error {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now}
	opts.Roots.AddCert(anchor)
	for _, cert := range chain[1:] {
		opts.Intermediates.AddCert(cert)
	}
	if _, err := chain[0].Verify(opts); err != nil {
		return err
	}
	cert := named(chain[0])
	var err error
	for _, name := range a.Names {
		name = strings.TrimSuffix(name, ".")
		if name == "" {
			continue
		}
		e := cert.VerifyHostname(name)
		if e == nil {
			return nil
		}
		if err == nil {
			err = e
		}
	}
	if err == nil {
		err = errors.New("no name to compare with the certificate")
	}
	return err
}

// named returns a certificate to compare names with: cert itself or, if it has
// no DNS names, one whose DNS names are the common names of cert.
func named(cert *x509.Certificate) *x509.Certificate {
	if len(cert.DNSNames) > 0 {
		return cert
	}
	c := &x509.Certificate{}
	for _, n := range cert.Subject.Names {
		if s, is := n.Value.(string); is && n.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			c.DNSNames = append(c.DNSNames, s)
		}
	}
	return c
}
