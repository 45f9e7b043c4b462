package routing_test

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A TLS policy with a name that is not verified is an error of NewTable.
func TestInvalidTLSPolicies(t *testing.T) {
	auth := smtpclient.PasswordAuth("alice", "wonderland")
	const unused = "needs the level TLSDomain, because no other level verifies the name in Domain"
	for _, c := range []struct {
		connector routing.Connector
		want      string
	}{
		{routing.Connector{TLS: &smtpclient.TLSPolicy{}}, ""},
		{routing.Connector{TLS: &smtpclient.TLSPolicy{Level: smtpclient.TLSDomain, Domain: "mail.example"}}, ""},
		{routing.Connector{TLS: &smtpclient.TLSPolicy{Domain: "mail.example"}, Auth: auth}, ""},
		{routing.Connector{TLS: &smtpclient.TLSPolicy{Domain: "mail.example"}, Transport: routing.SMTP(&smtpclient.Transport{Auth: auth})}, ""},
		{routing.Connector{TLS: &smtpclient.TLSPolicy{Domain: "mail.example"}}, "TLS: " + unused},
		{routing.Connector{TLS: &smtpclient.TLSPolicy{Domain: "mail.example"}, Transport: routing.SMTP(&smtpclient.Transport{})}, "TLS: " + unused},
		{routing.Connector{TLS: &smtpclient.TLSPolicy{Level: smtpclient.TLSCertificate, Domain: "mail.example"}}, "TLS: " + unused},
	} {
		c.connector.Name, c.connector.Spaces, c.connector.SmartHosts = "c", []string{"*"}, routing.SmartHosts("mail.example")
		checkTLSPolicy(t, c.connector, c.want)
	}
	for want, policy := range map[string]smtpclient.TLSPolicy{
		"": {Level: smtpclient.TLSDomain, Domain: ".partner.example"},
		`DomainTLS["partner.example"].Level: is 99: there is no such level`: {Level: 99},
		`DomainTLS["partner.example"]: ` + unused:                           {Level: smtpclient.TLSEncrypt, Domain: "partner.example"},
	} {
		checkTLSPolicy(t, routing.Connector{Name: "c", Spaces: []string{"*"}, DomainTLS: map[string]smtpclient.TLSPolicy{"partner.example": policy}}, want)
	}
}

func checkTLSPolicy(t *testing.T, c routing.Connector, want string) {
	t.Helper()
	if want != "" {
		want = "connector c: " + want
	}
	_, err := routing.NewTable(c)
	if (err == nil) != (want == "") || err != nil && err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}
