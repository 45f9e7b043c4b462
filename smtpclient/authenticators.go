package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// passwordAuth implements PasswordAuth.
type passwordAuth struct{ username, password string }

// PasswordAuth returns an Authenticator that uses SCRAM-SHA-256 (RFC 7677),
// PLAIN (RFC 4616) or LOGIN: the first of these, in this order, that the host
// offers and does not refuse. Use [Mechanisms] to exclude some of them.
func PasswordAuth(username, password string) Authenticator {
	return &passwordAuth{username, password}
}

func (a *passwordAuth) Identity() string { return a.username }

func (a *passwordAuth) Start(_ context.Context, _ string, mechanisms []string, _ *tls.ConnectionState) (sasl.Client, error) {
	switch {
	case slices.Contains(mechanisms, "SCRAM-SHA-256"):
		return newSCRAM(a.username, a.password)
	case slices.Contains(mechanisms, sasl.Plain):
		return sasl.NewPlainClient("", a.username, a.password), nil
	case slices.Contains(mechanisms, sasl.Login):
		return &loginClient{a.username, a.password, 0}, nil
	}
	return nil, nil
}

// loginClient implements LOGIN. The text of the two challenges differs between
// hosts, and some hosts do not encode it as base64. Therefore the client ignores
// the text and answers in order.
type loginClient struct {
	username, password string
	step               int
}

func (l *loginClient) Start() (string, []byte, error) { return sasl.Login, nil, nil }

func (*loginClient) IgnoresChallenge() bool { return true }

func (l *loginClient) Next([]byte) ([]byte, error) {
	l.step++
	switch l.step {
	case 1:
		return []byte(l.username), nil
	case 2:
		return []byte(l.password), nil
	}
	return nil, sasl.ErrUnexpectedServerChallenge
}

// Mechanisms returns an Authenticator that works like the Authenticator a, but
// uses only the named mechanisms ("PLAIN", "SCRAM-SHA-256", ...). A host that
// offers none of them is Unreachable (4.7.4). If a is nil, or names is empty, no
// mechanism is acceptable, and [Transport.Validate] returns an error.
func Mechanisms(a Authenticator, names ...string) Authenticator {
	l := &limitedAuth{Authenticator: a}
	for _, n := range names {
		l.allowed = append(l.allowed, strings.ToUpper(n))
	}
	return l
}

// limitedAuth implements Mechanisms.
type limitedAuth struct {
	Authenticator
	allowed []string
}

var (
	errNoAuthenticator = errors.New("is Mechanisms of a nil Authenticator")
	errNoNames         = errors.New("is Mechanisms without the name of a mechanism")
	errNoTokenFunc     = errors.New("is TokenAuth with a nil function")
)

// invalid is for Transport.Validate.
func (l *limitedAuth) invalid() error {
	if settings.IsNil(l.Authenticator) {
		return errNoAuthenticator
	}
	if len(l.allowed) == 0 {
		return errNoNames
	}
	return invalidAuth(l.Authenticator)
}

// invalidAuth returns the error of an Authenticator that can never work. An
// Authenticator of another package reports it by a method Validate.
func invalidAuth(a Authenticator) error {
	switch a := a.(type) {
	case interface{ invalid() error }:
		return a.invalid()
	case interface{ Validate() error }:
		return a.Validate()
	}
	return nil
}

// Refused tells the Authenticator that a host has refused.
func (l *limitedAuth) Refused(reply *smtp.SMTPError) {
	if a, ok := l.Authenticator.(interface{ Refused(*smtp.SMTPError) }); ok {
		a.Refused(reply)
	}
}

func (l *limitedAuth) Identity() string {
	if settings.IsNil(l.Authenticator) {
		return ""
	}
	return l.Authenticator.Identity()
}

func (l *limitedAuth) Start(ctx context.Context, host string, mechanisms []string, state *tls.ConnectionState) (sasl.Client, error) {
	if settings.IsNil(l.Authenticator) {
		return nil, fmt.Errorf("%w: the setting %w", errNoMechanism, errNoAuthenticator)
	}
	left := slices.DeleteFunc(slices.Clone(mechanisms), func(m string) bool { return !slices.Contains(l.allowed, m) })
	client, err := l.Authenticator.Start(ctx, host, left, state)
	if client == nil && err == nil {
		err = fmt.Errorf("%w: the host offers %q, only %q are allowed", errNoMechanism, mechanisms, l.allowed)
	}
	return client, err
}

// tokenAuth implements TokenAuth.
type tokenAuth struct {
	username string
	token    func(ctx context.Context) (string, error)
}

// TokenAuth returns an Authenticator that uses OAUTHBEARER (RFC 7628) or
// XOAUTH2 with an access token. It calls token for each new session, and again
// when the host refuses OAUTHBEARER and it tries XOAUTH2. token must be safe for
// concurrent use. If it is nil, there is no token, and [Transport.Validate]
// returns an error.
func TokenAuth(username string, token func(ctx context.Context) (string, error)) Authenticator {
	return &tokenAuth{username, token}
}

// invalid is for Transport.Validate.
func (a *tokenAuth) invalid() error {
	if a.token == nil {
		return errNoTokenFunc
	}
	return nil
}

func (a *tokenAuth) Identity() string { return a.username }

func (a *tokenAuth) Start(ctx context.Context, host string, mechanisms []string, _ *tls.ConnectionState) (sasl.Client, error) {
	bearer := slices.Contains(mechanisms, sasl.OAuthBearer)
	if !bearer && !slices.Contains(mechanisms, "XOAUTH2") {
		return nil, nil
	}
	if a.token == nil {
		return nil, fmt.Errorf("access token: the setting %w", errNoTokenFunc)
	}
	token, err := a.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("access token: %w", err)
	}
	return &bearerClient{username: a.username, token: token, host: host, x: !bearer}, nil
}

// bearerClient implements OAUTHBEARER and its predecessor XOAUTH2. A host that
// refuses a token sends the reason in a challenge. The client must answer the
// challenge before the host sends the 5xx.
type bearerClient struct {
	username, token, host string
	x                     bool
}

func (b *bearerClient) Start() (string, []byte, error) {
	if b.x {
		return "XOAUTH2", []byte("user=" + b.username + "\x01auth=Bearer " + b.token + "\x01\x01"), nil
	}
	name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(b.username) // RFC 5801, 4
	ir := "n,a=" + name + ",\x01"
	if b.host != "" {
		ir += "host=" + b.host + "\x01"
	}
	return sasl.OAuthBearer, []byte(ir + "auth=Bearer " + b.token + "\x01\x01"), nil
}

// IgnoresChallenge returns true, because some hosts send the reason as text.
func (*bearerClient) IgnoresChallenge() bool { return true }

func (b *bearerClient) Next([]byte) ([]byte, error) {
	if b.x {
		return []byte{}, nil
	}
	return []byte{1}, nil // RFC 7628, 3.2.3
}

// externalAuth implements ExternalAuth.
type externalAuth struct{ identity string }

// ExternalAuth returns an Authenticator that uses EXTERNAL (RFC 4422): the host
// identifies the client by the certificate of Transport.TLSConfig. identity is
// the authorization identity; it may be empty.
func ExternalAuth(identity string) Authenticator { return &externalAuth{identity} }

func (a *externalAuth) Identity() string { return or(a.identity, "EXTERNAL") }

func (a *externalAuth) Start(_ context.Context, _ string, mechanisms []string, _ *tls.ConnectionState) (sasl.Client, error) {
	if !slices.Contains(mechanisms, sasl.External) {
		return nil, nil
	}
	return sasl.NewExternalClient(a.identity), nil
}
