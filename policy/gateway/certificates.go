package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// validateCertificates warns about certificates that clients do not trust: one
// that is not valid now, or is for other names than the server's. Other relays
// use it nevertheless, because most of them do not check certificates. If there
// are several, one of them must be for the name.
func validateCertificates(f *findings, s namedServer, now time.Time) {
	if s.Server.TLSConfig == nil || s.Server.TLSMode == smtpserver.TLSOff {
		return
	}
	var named, other bool
	var names []string
	for i := range s.Server.TLSConfig.Certificates {
		leaf := leafOf(&s.Server.TLSConfig.Certificates[i])
		if leaf == nil {
			continue // Server.Validate reports it
		}
		path := fmt.Sprintf("%s.TLSConfig.Certificates[%d]", s.Path, i)
		switch {
		case now.After(leaf.NotAfter):
			f.add(Warning, path, "the certificate has expired: it was valid until "+leaf.NotAfter.UTC().Format(time.RFC3339))
		case now.Before(leaf.NotBefore):
			f.add(Warning, path, "the certificate is not valid yet: it is valid from "+leaf.NotBefore.UTC().Format(time.RFC3339))
		}
		if leaf.VerifyHostname(s.Server.Hostname) == nil {
			named = true
		} else {
			other, names = true, append(names, leaf.DNSNames...)
		}
	}
	switch {
	case !other || named:
	case len(names) == 0: // RFC 6125, 6.4.4
		f.add(Warning, s.Path+".TLSConfig", fmt.Sprintf("no certificate is for the Hostname %s: they have no DNS names (subjectAltName), and the common name does not count", s.Server.Hostname))
	default:
		f.add(Warning, s.Path+".TLSConfig", fmt.Sprintf("no certificate is for the Hostname %s, only for %q", s.Server.Hostname, names))
	}
}

// leafOf returns the certificate of the server, or nil if there is none.
func leafOf(c *tls.Certificate) *x509.Certificate {
	if c.Leaf != nil {
		return c.Leaf
	}
	if len(c.Certificate) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}
