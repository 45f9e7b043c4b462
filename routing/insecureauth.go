package routing

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// insecureAuth finds connectors that authenticate but never use TLS, without
// the setting that allows this. They could not send any mail.
func (b *builder) insecureAuth(c *connector) {
	var level smtpclient.TLSLevel
	auth, byDNS := c.Auth, c.Auth
	if len(c.SmartHosts) > 0 {
		byDNS = nil // the password is for the smart hosts
	}
	if t, is := c.Transport.(smtpTransport); is {
		if t.AllowInsecureAuth {
			return
		}
		level = t.TLS.Level
		if auth == nil {
			auth = t.Auth
		}
		if byDNS == nil {
			byDNS = t.Auth
		}
	}
	if c.TLS != nil {
		level = c.TLS.Level
	}
	const problem = "needs TLS, but the TLS level is none: use TLS, or a Transport with AllowInsecureAuth"
	if auth != nil && level == smtpclient.TLSNone {
		b.fault("Auth", problem)
		return
	}
	for _, domain := range slices.Sorted(maps.Keys(c.DomainTLS)) {
		if byDNS != nil && c.DomainTLS[domain].Level == smtpclient.TLSNone {
			b.fault(fmt.Sprintf("DomainTLS[%q]", domain), "has the level none, but Auth needs TLS: use TLS, or a Transport with AllowInsecureAuth")
		}
	}
}
