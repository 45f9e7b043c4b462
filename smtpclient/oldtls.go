package smtpclient

import (
	"crypto/tls"
	"errors"
	"slices"
)

// Old TLS is TLS 1.0 and 1.1, and the cipher suites that crypto/tls counts as
// insecure: RSA key exchange, 3DES, RC4, CBC with SHA-256 (RFC 8996, RFC 9325).
// Passive listeners may be able to read it, later if not now. Against that,
// it is better than plain text.

// usesOldTLS says whether a connection is protected by old TLS only.
func usesOldTLS(s *tls.ConnectionState) bool {
	return s.Version < tls.VersionTLS12 || slices.ContainsFunc(tls.InsecureCipherSuites(), func(c *tls.CipherSuite) bool { return c.ID == s.CipherSuite })
}

// limitTLS sets what versions and cipher suites cfg allows, as far as the
// operator has not (Transport.TLSConfig).
func limitTLS(cfg *tls.Config, old bool) {
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
		if old {
			cfg.MinVersion = tls.VersionTLS10
		}
	}
	if cfg.CipherSuites == nil { // not left to crypto/tls, whose default depends on GODEBUG
		suites := tls.CipherSuites()
		if old {
			suites = append(suites, tls.InsecureCipherSuites()...)
		}
		for _, s := range suites {
			cfg.CipherSuites = append(cfg.CipherSuites, s.ID)
		}
	}
}

// errAuthOldTLS: credentials do not go over old TLS.
var errAuthOldTLS = errors.New("no authentication over old TLS (see AllowOldTLSAuth)")
