package ntlm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/Azure/go-ntlmssp"
	"github.com/emersion/go-sasl"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

const mechanism = "NTLM"

// errPlain means that the session is not encrypted.
var errPlain = errors.New("NTLM needs TLS, but the session is not encrypted")

type auth struct{ username, password string }

// Auth returns an Authenticator that uses NTLM version 2. username is
// `DOMAIN\user`, "user@example.com" or "user".
//
// NTLM is used over TLS only, also if Transport.AllowInsecureAuth is set: without
// TLS, someone on the network could use the exchange to log in as the user
// elsewhere. Use a TLS level that verifies the host, such as the default of a
// Transport with Auth. A host that does not offer NTLM is Unreachable (4.7.4). A
// username or password that is empty is an error of Transport.Validate.
func Auth(username, password string) smtpclient.Authenticator { return &auth{username, password} }

// Validate is for Transport.Validate.
func (a *auth) Validate() error {
	if a.username == "" || a.password == "" {
		return errors.New("is ntlm.Auth with an empty user name or password")
	}
	return nil
}

func (a *auth) Identity() string { return a.username }

func (a *auth) Start(_ context.Context, _ string, mechanisms []string, state *tls.ConnectionState) (sasl.Client, error) {
	if err := a.Validate(); err != nil {
		return nil, fmt.Errorf("the setting %w", err)
	}
	if !slices.Contains(mechanisms, mechanism) {
		return nil, nil
	}
	if state == nil {
		return nil, errPlain
	}
	return &client{username: a.username, password: a.password}, nil
}

// client is one exchange (MS-SMTPNTLM, 3.1): AUTH NTLM, a reply that is text
// ("334 NTLM supported"), then the messages NEGOTIATE, CHALLENGE and AUTHENTICATE
// of MS-NLMP.
type client struct {
	username, password string
	step               int
}

func (c *client) Start() (string, []byte, error) { return mechanism, nil, nil }

// IgnoresChallenge returns true for the first challenge, which is text.
func (c *client) IgnoresChallenge() bool { return c.step == 0 }

func (c *client) Next(challenge []byte) ([]byte, error) {
	c.step++
	switch c.step {
	case 1:
		return ntlmssp.NewNegotiateMessage("", "")
	case 2:
		return ntlmssp.NewAuthenticateMessage(challenge, c.username, c.password, nil)
	}
	return nil, sasl.ErrUnexpectedServerChallenge
}

// Done returns an error if the host reported success before it got the answer to
// its challenge.
func (c *client) Done() error {
	if c.step != 2 {
		return errors.New("the host reported success before the end of the exchange")
	}
	return nil
}
