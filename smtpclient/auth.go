package smtpclient

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// An Authenticator proves our identity to a host.
type Authenticator interface {
	// Identity names the account, for logs and the pool's key. Not a secret.
	Identity() string
	// Start chooses one of the mechanisms that the host offers (upper case,
	// in its order) and begins it; nil means that none is acceptable.
	Start(ctx context.Context, host string, mechanisms []string, state *tls.ConnectionState) (sasl.Client, error)
}

// errNoMechanism: the host offers no way to authenticate that we have.
var errNoMechanism = errors.New("no acceptable authentication mechanism")

// maxAuthRounds bounds the challenges of one exchange.
const maxAuthRounds = 16

// Auth authenticates. It does so without TLS too: whether that is acceptable
// is the caller's matter, or a's.
func (c *Client) Auth(ctx context.Context, a Authenticator) error {
	return c.do(ctx, func() error { return c.auth(ctx, a) })
}

func (c *Client) auth(ctx context.Context, a Authenticator) error {
	offered := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
	client, err := a.Start(ctx, c.cfg.Host, offered, c.tls)
	if err != nil {
		return fmt.Errorf("AUTH: %w", err)
	}
	if client == nil {
		return fmt.Errorf("AUTH: %w, the host offers %q", errNoMechanism, offered)
	}
	mech, ir, err := client.Start()
	if err != nil {
		return fmt.Errorf("AUTH %s: %w", mech, err)
	}
	line := "AUTH " + mech
	if ir != nil {
		encoded := base64.StdEncoding.EncodeToString(ir)
		if encoded == "" {
			encoded = "=" // RFC 4954, 4
		}
		line += " " + encoded
	}
	c.log.line(line) // nothing else of the exchange, and this without the response
	r, err := c.secret(mech, line)
	for rounds := 0; err == nil && r.code == 334; rounds++ {
		if rounds == maxAuthRounds {
			return &ProtocolError{Phase: "AUTH " + mech, Problem: fmt.Sprintf("more than %d challenges", maxAuthRounds)}
		}
		r, err = c.answer(mech, client, r)
	}
	if err != nil {
		return err
	}
	c.log.received(r)
	if r.code != 235 {
		return unexpected("AUTH "+mech, r)
	}
	if done, ok := client.(interface{ Done() error }); ok {
		if err := done.Done(); err != nil { // the host has not proved that it knows us
			return fmt.Errorf("AUTH %s: %w", mech, err)
		}
	}
	c.identity = a.Identity()
	return nil
}

// answer answers one challenge. What the mechanism does not accept ends the
// exchange with "*" (RFC 4954, 4).
func (c *Client) answer(mech string, client sasl.Client, r reply) (reply, error) {
	challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(r.text)))
	if err != nil {
		return r, &ProtocolError{Phase: "AUTH " + mech, Problem: "challenge is not base64"}
	}
	response, err := client.Next(challenge)
	if err != nil {
		if r, cancel := c.secret(mech, "*"); cancel != nil && r.permanent() {
			return r, fmt.Errorf("%w (%w)", cancel, err)
		}
		return r, fmt.Errorf("AUTH %s: %w", mech, err)
	}
	return c.secret(mech, base64.StdEncoding.EncodeToString(response))
}

// secret sends a line of the exchange, which is not logged.
func (c *Client) secret(mech, line string) (reply, error) {
	d := c.cfg.Timeouts.hello()
	c.out = append(append(c.out[:0], line...), '\r', '\n')
	err := checkCommand(c.out)
	if err == nil {
		err = c.flush(d)
	}
	clear(c.out[:cap(c.out)])
	if err != nil {
		return reply{}, fmt.Errorf("AUTH %s: %w", mech, err)
	}
	r, err := c.readReply("AUTH "+mech, d)
	if err == nil && (r.transient() || r.permanent()) {
		c.log.received(r)
		return r, r.smtpError()
	}
	return r, err
}

// passwordAuth is PasswordAuth.
type passwordAuth struct{ username, password string }

// PasswordAuth authenticates by the best of SCRAM-SHA-256, PLAIN and LOGIN
// that the host offers.
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

// loginClient is LOGIN. Hosts word its two challenges in many ways, so only
// their order counts.
type loginClient struct {
	username, password string
	step               int
}

func (l *loginClient) Start() (string, []byte, error) { return sasl.Login, nil, nil }

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

// tokenAuth is TokenAuth.
type tokenAuth struct {
	username string
	token    func(ctx context.Context) (string, error)
}

// TokenAuth authenticates by OAUTHBEARER (RFC 7628) or XOAUTH2 with an access
// token, which is asked for at each new session.
func TokenAuth(username string, token func(ctx context.Context) (string, error)) Authenticator {
	return &tokenAuth{username, token}
}

func (a *tokenAuth) Identity() string { return a.username }

func (a *tokenAuth) Start(ctx context.Context, host string, mechanisms []string, _ *tls.ConnectionState) (sasl.Client, error) {
	bearer := slices.Contains(mechanisms, sasl.OAuthBearer)
	if !bearer && !slices.Contains(mechanisms, "XOAUTH2") {
		return nil, nil
	}
	token, err := a.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("access token: %w", err)
	}
	return &bearerClient{username: a.username, token: token, host: host, x: !bearer}, nil
}

// bearerClient is OAUTHBEARER and its forerunner XOAUTH2. Both tell why they
// fail in a challenge, to be answered before the 5xx comes.
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

func (b *bearerClient) Next([]byte) ([]byte, error) {
	if b.x {
		return []byte{}, nil
	}
	return []byte{1}, nil // RFC 7628, 3.2.3
}

// externalAuth is ExternalAuth.
type externalAuth struct{ identity string }

// ExternalAuth authenticates by EXTERNAL: the client certificate of
// Transport.TLSConfig is the proof. identity may be empty.
func ExternalAuth(identity string) Authenticator { return &externalAuth{identity} }

func (a *externalAuth) Identity() string { return or(a.identity, "EXTERNAL") }

func (a *externalAuth) Start(_ context.Context, _ string, mechanisms []string, _ *tls.ConnectionState) (sasl.Client, error) {
	if !slices.Contains(mechanisms, sasl.External) {
		return nil, nil
	}
	return sasl.NewExternalClient(a.identity), nil
}
