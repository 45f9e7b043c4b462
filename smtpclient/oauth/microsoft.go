package oauth

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Microsoft is an application of Microsoft Entra, which acts without a user. Its text
// does not contain the secret.
type Microsoft struct {
	// Tenant is the ID of the tenant, or one of its domains.
	Tenant string
	// ClientID is the application ID.
	ClientID string
	// Secret is the value of a client secret, not its ID.
	Secret Secret
	// Certificate is used instead of Secret: its RSA key signs an assertion for each
	// request (RFC 7523, 2.2), with PS256.
	Certificate *tls.Certificate
	// Host is the host of the token endpoint, with or without a port. Default
	// login.microsoftonline.com. National clouds have other hosts, such as
	// login.microsoftonline.us.
	Host string
	// Scope is what the token is for. Default: SMTP at Exchange Online in the cloud
	// of Host, https://outlook.office365.com/.default. Graph needs
	// https://graph.microsoft.com/.default.
	Scope string
	// Roots are the certificate authorities of Host. Default: those of the system.
	Roots *x509.CertPool
}

// A Secret is a text that fmt and log/slog do not print.
type Secret string

// String returns no part of the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString returns no part of the secret.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// MarshalText returns no part of the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

const microsoftHost = "login.microsoftonline.com"

// scopes are the scopes of Exchange Online in the national clouds, by the host of the
// token endpoint.
var scopes = map[string]string{
	microsoftHost:                      "https://outlook.office365.com/.default",
	"login.microsoftonline.us":         "https://outlook.office365.us/.default",
	"login.partner.microsoftonline.cn": "https://partner.outlook.cn/.default",
}

// Source returns a Source of tokens for the application. It sends nothing. The error
// says which fields are wrong.
func (m Microsoft) Source() (*Source, error) {
	host := cmp.Or(m.Host, microsoftHost)
	config := clientcredentials.Config{
		ClientID: m.ClientID, ClientSecret: string(m.Secret), AuthStyle: oauth2.AuthStyleInParams,
		TokenURL: "https://" + host + "/" + url.PathEscape(m.Tenant) + "/oauth2/v2.0/token",
		Scopes:   []string{cmp.Or(m.Scope, scopes[strings.ToLower(host)], scopes[microsoftHost])},
	}
	if err := m.validate(host); err != nil {
		return nil, err
	}
	fetch := func(ctx context.Context) (*oauth2.Token, error) {
		c := config
		if m.Certificate != nil {
			assertion, err := assert(m.Certificate, m.ClientID, c.TokenURL)
			if err != nil {
				return nil, err
			}
			c.EndpointParams = url.Values{
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
				"client_assertion":      {assertion},
			}
		}
		return c.Token(ctx)
	}
	return &Source{name: "Microsoft application " + m.ClientID, fetch: granted(config.TokenURL, m.Roots, fetch)}, nil
}

// validate returns an error if there can be no token with the fields.
func (m *Microsoft) validate(host string) error {
	var errs []error
	wrong := func(is bool, text string) {
		if is {
			errs = append(errs, errors.New("oauth: "+text))
		}
	}
	wrong(m.Tenant == "", "Tenant is required")
	wrong(m.Tenant != "" && !plainName(m.Tenant), "Tenant is neither an ID nor a domain")
	wrong(slices.Contains([]string{"common", "organizations", "consumers"}, strings.ToLower(m.Tenant)),
		"Tenant must be one tenant: its ID, or one of its domains")
	wrong(m.ClientID == "", "ClientID is required")
	wrong(m.ClientID != "" && !plainName(m.ClientID), "ClientID is not the ID of an application")
	wrong((m.Secret == "") == (m.Certificate == nil), "either Secret or Certificate is required")
	if m.Certificate != nil {
		errs = append(errs, checkCertificate(m.Certificate))
	}
	return errors.Join(append(errs, checkHost(host))...)
}

// plainName reports whether s is an ID or a domain.
func plainName(s string) bool {
	return len(s) <= 253 && strings.Trim(s, ".") == s && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.')
	})
}
