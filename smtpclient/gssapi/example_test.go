package gssapi_test

import (
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpclient/gssapi"
)

// A relay that logs in to the mail server of an Active Directory domain with the
// keytab of its own account.
func ExampleAuth() {
	_ = &smtpclient.Transport{
		Hostname: "relay.example.com",
		Auth:     &gssapi.Auth{Principal: "relay@EXAMPLE.COM", KeytabFile: "/etc/relay/relay.keytab"},
	}
}
