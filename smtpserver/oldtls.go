package smtpserver

import (
	"crypto/tls"
	"slices"
)

// oldSuites are the cipher suites without forward secrecy that old peers need:
// Exchange 2003 and Windows 2003 know no other than the last ones. RC4 is not
// among them (RFC 7465).
var oldSuites = []uint16{
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
}

// withOldTLS is c for a server with InsecureOldTLS. A MinVersion that c sets
// itself stays.
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

// isOldTLS says whether a session has TLS that is not to be used any more: a
// version before 1.2 (RFC 8996), or a cipher suite that crypto/tls takes for
// insecure, such as those with RSA key exchange.
func isOldTLS(state *tls.ConnectionState) bool {
	return state.Version < tls.VersionTLS12 ||
		slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == state.CipherSuite })
}

// hasModernTLS says whether the session has TLS that is not old.
func (s *Session) hasModernTLS() bool { return s.tls != nil && !s.oldTLS }

// mayAuth says whether the session is confidential enough for AUTH.
func (s *Session) mayAuth() bool {
	return s.srv.AllowInsecureAuth || s.hasModernTLS() || s.tls != nil && s.srv.InsecureOldTLSAuth
}
