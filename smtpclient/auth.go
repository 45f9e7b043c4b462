package smtpclient

import (
	"context"
	"crypto/tls"

	"github.com/emersion/go-sasl"
)

// An Authenticator proves our identity to a host.
type Authenticator interface {
	// Identity names the account, for logs and the pool's key. Not a secret.
	Identity() string
	// Start chooses one of the mechanisms that the host offers (upper case,
	// in its order) and begins it. An error means that none is acceptable.
	Start(ctx context.Context, host string, mechanisms []string, state *tls.ConnectionState) (sasl.Client, error)
}

// PasswordAuth authenticates by the best of SCRAM-SHA-256-PLUS, SCRAM-SHA-256,
// PLAIN and LOGIN that the host offers.
func PasswordAuth(username, password string) Authenticator { return nil }

// TokenAuth authenticates by OAUTHBEARER or XOAUTH2 with an access token, which is
// asked for at each new session.
func TokenAuth(username string, token func(ctx context.Context) (string, error)) Authenticator {
	return nil
}

// ExternalAuth authenticates by EXTERNAL: the client certificate of
// Transport.TLSConfig is the proof. identity may be empty.
func ExternalAuth(identity string) Authenticator { return nil }
