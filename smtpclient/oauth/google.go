package oauth

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"
)

// Google is a service account of Google Cloud with domain-wide delegation: it acts for
// one user of a Workspace.
type Google struct {
	// Key is the account's key in JSON, as the Cloud console makes it.
	Key Secret
	// Subject is the address of the user whose mailbox sends.
	Subject string
	// Host is the host of the token endpoint, with or without a port. Default: that
	// of the key, oauth2.googleapis.com.
	Host string
	// Scope is what the token is for. Default: SMTP, https://mail.google.com/.
	Scope string
	// Roots are the certificate authorities of Host. Default: those of the system.
	Roots *x509.CertPool
}

// googleKey has the fields of a key in JSON that are necessary.
type googleKey struct {
	Type         string `json:"type"`
	ClientEmail  string `json:"client_email"`
	PrivateKey   string `json:"private_key"`
	PrivateKeyID string `json:"private_key_id"`
	TokenURI     string `json:"token_uri"`
}

// Source returns a Source of tokens for the account. It sends nothing. The error says
// what is wrong, without the key.
func (g Google) Source() (*Source, error) {
	key, err := g.key()
	endpoint, err2 := g.endpoint(key)
	if g.Subject == "" {
		err2 = errors.Join(err2, errors.New("oauth: Subject is required"))
	}
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	config := jwt.Config{
		Email: key.ClientEmail, PrivateKey: []byte(key.PrivateKey), PrivateKeyID: key.PrivateKeyID,
		Subject: g.Subject, Scopes: []string{cmp.Or(g.Scope, "https://mail.google.com/")}, TokenURL: endpoint,
	}
	fetch := func(ctx context.Context) (*oauth2.Token, error) { return config.TokenSource(ctx).Token() }
	return &Source{name: "Google service account " + key.ClientEmail, fetch: granted(endpoint, g.Roots, fetch)}, nil
}

// key parses Key.
func (g *Google) key() (k googleKey, err error) {
	switch err := json.Unmarshal([]byte(g.Key), &k); {
	case err != nil: // its text may have a part of the key
		return k, errors.New("oauth: the key is not JSON")
	case k.Type != "service_account":
		return k, errors.New(`oauth: the key is not that of a service account (its type is not "service_account")`)
	case k.ClientEmail == "" || k.PrivateKey == "":
		return k, errors.New("oauth: the key has no client_email or no private_key")
	}
	block, _ := pem.Decode([]byte(k.PrivateKey))
	if block == nil {
		return k, errors.New("oauth: private_key is not PEM")
	}
	if _, err := rsaKey(block.Bytes); err != nil {
		return k, errors.New("oauth: private_key is not an RSA key")
	}
	return k, nil
}

// endpoint returns the URL that tokens are requested at.
func (g *Google) endpoint(k googleKey) (string, error) {
	if g.Host != "" {
		return "https://" + g.Host + "/token", checkHost(g.Host)
	}
	uri := cmp.Or(k.TokenURI, "https://oauth2.googleapis.com/token")
	u, err := url.Parse(uri)
	if err != nil || !strings.EqualFold(u.Scheme, "https") || u.User != nil {
		return "", errors.New("oauth: the token_uri of the key is not an https URL")
	}
	return uri, checkHost(u.Host)
}
