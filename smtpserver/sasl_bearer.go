package smtpserver

import (
	"bytes"
	"context"
	"strings"

	"github.com/emersion/go-sasl"
)

// BearerAuth offers OAUTHBEARER (RFC 7628) and its predecessor XOAUTH2 (Google,
// Microsoft). verify checks a token and returns the identity that the token was
// issued to. username is the identity that the client asks for; with
// OAUTHBEARER it is often empty. verify must return an error if the token does
// not belong to username. A nil verify is an error of Server.Validate.
func BearerAuth(verify func(ctx context.Context, s *Session, username, token string) (identity string, err error)) Authenticator {
	if verify == nil {
		return invalidAuth("BearerAuth: verify is nil")
	}
	return bearerAuth(verify)
}

type bearerAuth func(ctx context.Context, s *Session, username, token string) (string, error)

const xoauth2 = "XOAUTH2"

func (bearerAuth) Mechanisms(*Session) []string { return []string{sasl.OAuthBearer, xoauth2} }

func (identify bearerAuth) Start(ctx context.Context, s *Session, mechanism string) (sasl.Server, error) {
	b := &bearerServer{verify: func(username, token string) error {
		return s.setIdentity(func() (string, error) { return identify(ctx, s, username, token) })
	}}
	switch mechanism {
	case sasl.OAuthBearer:
		b.parse = parseOAuthBearer
		b.refusal = []byte(`{"status":"invalid_token"}`)
	case xoauth2:
		b.parse = parseXOAuth2
		b.refusal = []byte(`{"status":"401","schemes":"bearer"}`)
	default:
		return nil, errNotOffered(mechanism)
	}
	return b, nil
}

// bearerServer accepts one response. To refuse it, it sends an error as a
// challenge, which the client answers with a dummy response. Only then the
// exchange fails (RFC 7628, 3.2.3).
type bearerServer struct {
	parse   func(response []byte) (username, token string, err error)
	verify  func(username, token string) error
	refusal []byte
	failed  error
}

func (b *bearerServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case b.failed != nil:
		return nil, true, b.failed
	case response == nil:
		return []byte{}, false, nil
	}
	username, token, err := b.parse(response)
	if err == nil {
		err = b.verify(username, token)
	}
	if err != nil {
		b.failed = err
		return b.refusal, false, nil
	}
	return nil, true, nil
}

// refused returns the error for which the token was refused, after the client
// was informed, or nil.
func (b *bearerServer) refused() error { return b.failed }

// parseOAuthBearer parses "n,a=user," ^A "auth=Bearer token" ^A ^A.
func parseOAuthBearer(response []byte) (username, token string, err error) {
	bad := malformed("OAUTHBEARER: malformed response")
	head, rest, ok := bytes.Cut(response, []byte{1})
	gs2 := strings.Split(string(head), ",")
	if !ok || len(gs2) != 3 || (gs2[0] != "n" && gs2[0] != "y") || gs2[2] != "" {
		return "", "", bad
	}
	if gs2[1] != "" {
		name, ok := strings.CutPrefix(gs2[1], "a=")
		if username, err = saslName(name); !ok || err != nil {
			return "", "", bad
		}
	}
	token, err = bearerToken(rest)
	return username, token, err
}

// parseXOAuth2 parses "user=name" ^A "auth=Bearer token" ^A ^A.
func parseXOAuth2(response []byte) (username, token string, err error) {
	head, rest, _ := bytes.Cut(response, []byte{1})
	username, ok := strings.CutPrefix(string(head), "user=")
	if !ok || username == "" {
		return "", "", malformed("XOAUTH2: malformed response")
	}
	token, err = bearerToken(rest)
	return username, token, err
}

// bearerToken returns the token from key=value pairs that end with ^A.
func bearerToken(pairs []byte) (string, error) {
	if !bytes.HasSuffix(pairs, []byte{1, 1}) {
		return "", malformed("bearer: response does not end with ^A^A")
	}
	for _, p := range bytes.Split(bytes.TrimRight(pairs, "\x01"), []byte{1}) {
		key, value, _ := strings.Cut(string(p), "=")
		kind, token, _ := strings.Cut(value, " ")
		if key == "auth" && strings.EqualFold(kind, "Bearer") && token != "" {
			return token, nil
		}
	}
	return "", malformed("bearer: no token")
}

// saslName decodes "," and "=" (RFC 5801, 4; RFC 5802, 5.1).
func saslName(s string) (string, error) {
	r := strings.NewReplacer("=2C", ",", "=3D", "=")
	if strings.Count(s, "=") != strings.Count(s, "=2C")+strings.Count(s, "=3D") || s == "" {
		return "", malformed("malformed name")
	}
	return r.Replace(s), nil
}
