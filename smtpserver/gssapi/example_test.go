package gssapi_test

import (
	"context"
	"crypto/tls"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/gssapi"
)

// Users of the Kerberos realm EXAMPLE.COM log in without a password. Their
// identity is their mail address.
func ExampleAuth() {
	auth := &gssapi.Auth{
		KeytabFile: "/etc/relay/smtp.keytab",
		Identify: func(_ context.Context, _ *smtpserver.Session, p gssapi.Principal) (string, error) {
			return p.Name + "@" + strings.ToLower(p.Realm), p.Own()
		},
	}
	_ = &smtpserver.Server{
		Hostname:  "mail.example.com",
		TLSConfig: &tls.Config{}, // with the certificate
		Auth:      smtpserver.Auths(auth),
	}
}
