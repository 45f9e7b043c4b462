package routing

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// transport finds settings of a connector's SMTP transport that can never work.
// It checks the settings that a Send uses: those of the connector take precedence
// over those of the Transport. For example, a connector that authenticates and
// never uses TLS could not send any mail.
func (b *builder) transport(c *connector) {
	t := new(smtpclient.Transport)
	switch own := c.Transport.(type) {
	case nil:
	case smtpTransport:
		t = own.Transport
	default:
		return
	}
	for _, e := range settingErrors(t.ValidateFor(&smtpclient.Destination{TLS: c.TLS, Auth: c.Auth})) {
		switch {
		case e.Field == "Auth", strings.HasPrefix(e.Field, "TLS.") && c.TLS != nil:
			b.fault(e.Field, "%s", e.Problem)
		default:
			b.fault("Transport."+e.Field, "%s", e.Problem)
		}
	}
	b.domainPolicies(c, t)
}

// domainPolicies finds faults in the policies of DomainTLS.
func (b *builder) domainPolicies(c *connector, t *smtpclient.Transport) {
	auth := c.Auth
	if len(c.SmartHosts) > 0 {
		auth = nil // the password is for the smart hosts
	}
	for _, domain := range slices.Sorted(maps.Keys(c.DomainTLS)) {
		policy, field := c.DomainTLS[domain], fmt.Sprintf("DomainTLS[%q]", domain)
		for _, e := range settingErrors(t.ValidateFor(&smtpclient.Destination{TLS: &policy, Auth: auth})) {
			switch {
			case e.Field == "Auth" && policy.Level == smtpclient.TLSNone:
				b.fault(field, "has the level none, but Auth needs TLS: use TLS, or a Transport with AllowInsecureAuth")
			case strings.HasPrefix(e.Field, "TLS."):
				b.fault(field+strings.TrimPrefix(e.Field, "TLS"), "%s", e.Problem)
			}
		}
	}
}

// settingErrors returns the errors that Transport.ValidateFor has joined.
func settingErrors(err error) (list []*smtpclient.SettingError) {
	joined, is := err.(interface{ Unwrap() []error })
	if !is {
		return nil
	}
	for _, err := range joined.Unwrap() {
		var e *smtpclient.SettingError
		if errors.As(err, &e) {
			list = append(list, e)
		}
	}
	return list
}
