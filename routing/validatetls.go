package routing

import (
	"errors"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// validatePolicy returns an error for a TLS policy that requires less than its
// author expects: one with the name of a certificate that is not verified.
func validatePolicy(c *connector, p smtpclient.TLSPolicy) error {
	auth := c.Auth != nil
	if t, is := c.Transport.(smtpTransport); is {
		auth = auth || t.Auth != nil
	}
	switch {
	case p.Domain == "", p.Level == smtpclient.TLSDomain:
		return nil
	case p.Level == smtpclient.TLSDefault && auth: // is TLSDomain then
		return nil
	}
	return errors.New("needs the level TLSDomain, because no other level verifies the name in Domain")
}
