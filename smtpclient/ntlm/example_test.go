package ntlm_test

import (
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpclient/ntlm"
)

// An Exchange server that accepts only Windows authentication. If it offers a
// mechanism with a password, use that instead.
func ExampleAuth() {
	_ = &smtpclient.Transport{
		Hostname: "relay.example.com",
		Auth:     ntlm.Auth(`CORP\relay`, "secret"),
	}
}
