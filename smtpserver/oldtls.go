package smtpserver

import (
	"crypto/tls"
	"slices"
)

// oldSuites are the cipher suites without forward secrecy that old clients
// need. Exchange 2003 and Windows 2003 support only the last ones. RC4 is not
// among them (RFC 7465).
var oldSuites = []uint16{
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
}

// withOldTLS returns a copy of c for a server with InsecureOldTLS. It keeps a
// MinVersion that c sets.
func withOldTLS(c *tls.Config) *tls.Config {
	old := c.Clone()
	if old.MinVersion == 0 {
		old.MinVersion = tls.VersionTLS10
	}
	if old.CipherSuites == nil {
		for _, s := range tls.CipherSuites() {
			old.CipherSuites = append(old.CipherSuites, s.ID)
		}
	}
	old.CipherSuites = slices.Concat(old.CipherSuites, oldSuites)
	if get := c.GetConfigForClient; get != nil {
		old.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c, err := get(hello)
			if c == nil || err != nil {
				return c, err
			}
			return withOldTLS(c), nil
		}
	}
	return old
}

// isOldTLS reports whether a session uses obsolete TLS: a version before 1.2
// (RFC 8996), or a cipher suite that crypto/tls lists as insecure, such as
// those with RSA key exchange.
func isOldTLS(state *tls.ConnectionState) bool {
	return state.Version < tls.VersionTLS12 ||
		slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == state.CipherSuite })
}

// hasModernTLS reports whether the session uses TLS that is not old.
func (s *Session) hasModernTLS() bool { return s.tls != nil && !s.oldTLS }

// mayAuth reports whether AUTH is allowed with the TLS state of the session.
func (s *Session) mayAuth() bool {
	return s.srv.AllowInsecureAuth || s.hasModernTLS() || s.tls != nil && s.srv.InsecureOldTLSAuth
}
