package smtpserver

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"

	"github.com/emersion/go-sasl"
)

// ExternalAuth offers EXTERNAL (RFC 4422, appendix A) to clients that have
// shown a TLS certificate, and asks who it belongs to. The certificate is
// verified as far as Server.TLSConfig.ClientAuth and ClientCAs have it
// verified: with tls.RequestClientCert or RequireAnyClientCert not at all, so
// that who must know it by its fingerprint. authzid is the identity that the
// client asks for, often empty; who refuses one that is not the client's.
func ExternalAuth(who func(ctx context.Context, s *Session, cert *x509.Certificate, authzid string) (identity string, err error)) Authenticator {
	return externalAuth(who)
}

type externalAuth func(ctx context.Context, s *Session, cert *x509.Certificate, authzid string) (string, error)

func (externalAuth) Mechanisms(s *Session) []string {
	if s.tls == nil || len(s.tls.PeerCertificates) == 0 {
		return nil
	}
	return []string{sasl.External}
}

func (who externalAuth) Start(ctx context.Context, s *Session, mechanism string) (sasl.Server, error) {
	if mechanism != sasl.External || s.tls == nil || len(s.tls.PeerCertificates) == 0 {
		return nil, errNotOffered(mechanism)
	}
	return saslFunc(func(response []byte) ([]byte, bool, error) {
		if response == nil {
			return []byte{}, false, nil
		}
		if bytes.IndexByte(response, 0) >= 0 {
			return nil, true, errors.New("EXTERNAL: NUL in the identity")
		}
		err := s.settle(func() (string, error) { return who(ctx, s, s.tls.PeerCertificates[0], string(response)) })
		return nil, true, err
	}), nil
}

// saslFunc is a sasl.Server made of a function.
type saslFunc func(response []byte) (challenge []byte, done bool, err error)

func (f saslFunc) Next(response []byte) ([]byte, bool, error) { return f(response) }
