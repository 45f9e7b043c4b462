package smtpclient

import (
	"crypto/tls"
	"errors"
	"slices"
)

// Old TLS is TLS 1.0 and 1.1, and the cipher suites that crypto/tls counts as
// insecure: RSA key exchange, 3DES, RC4, CBC with SHA-256 (RFC 8996, RFC 9325).
// A passive attacker may be able to decrypt it, now or later. It is still better
// than plain text.

// usesOldTLS reports whether a connection uses old TLS.
func usesOldTLS(s *tls.ConnectionState) bool {
	return s.Version < tls.VersionTLS12 || slices.ContainsFunc(tls.InsecureCipherSuites(), func(c *tls.CipherSuite) bool { return c.ID == s.CipherSuite })
}

// limitTLS sets the versions and cipher suites that cfg allows, unless the
// operator has set them in Transport.TLSConfig.
func limitTLS(cfg *tls.Config, old bool) {
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
		if old {
			cfg.MinVersion = tls.VersionTLS10
		}
	}
	if cfg.CipherSuites == nil { // the default of crypto/tls depends on GODEBUG
		suites := tls.CipherSuites()
		if old {
			suites = append(suites, tls.InsecureCipherSuites()...)
		}
		for _, s := range suites {
			cfg.CipherSuites = append(cfg.CipherSuites, s.ID)
		}
	}
}

// errAuthOldTLS means that credentials were not sent over old TLS.
var errAuthOldTLS = errors.New("no authentication over old TLS (see AllowOldTLSAuth)")
