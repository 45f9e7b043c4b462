package smtpserver

import (
	"bytes"
	"context"
	"crypto/x509"

	"github.com/emersion/go-sasl"
)

// ExternalAuth offers EXTERNAL (RFC 4422, appendix A) to clients that have sent
// a TLS certificate. verify returns the identity that a certificate belongs to.
// authzid is the identity that the client asks for, and is often empty. verify
// must return an error if the certificate does not belong to authzid. A nil
// verify is an error of Server.Validate.
//
// Server.TLSConfig.ClientAuth and ClientCAs decide how the TLS handshake
// verifies the certificate. With tls.RequestClientCert and
// tls.RequireAnyClientCert, the handshake does not verify the certificate. In
// this case, verify must recognize the certificate by its fingerprint.
func ExternalAuth(verify func(ctx context.Context, s *Session, cert *x509.Certificate, authzid string) (identity string, err error)) Authenticator {
	if verify == nil {
		return invalidAuth("ExternalAuth: verify is nil")
	}
	return externalAuth(verify)
}

type externalAuth func(ctx context.Context, s *Session, cert *x509.Certificate, authzid string) (string, error)

func (externalAuth) Mechanisms(s *Session) []string {
	if s.tls == nil || len(s.tls.PeerCertificates) == 0 {
		return nil
	}
	return []string{sasl.External}
}

func (identify externalAuth) Start(ctx context.Context, s *Session, mechanism string) (sasl.Server, error) {
	if mechanism != sasl.External || s.tls == nil || len(s.tls.PeerCertificates) == 0 {
		return nil, errNotOffered(mechanism)
	}
	return saslFunc(func(response []byte) ([]byte, bool, error) {
		if response == nil {
			return []byte{}, false, nil
		}
		if bytes.IndexByte(response, 0) >= 0 {
			return nil, true, malformed("EXTERNAL: the identity contains NUL")
		}
		err := s.setIdentity(func() (string, error) { return identify(ctx, s, s.tls.PeerCertificates[0], string(response)) })
		return nil, true, err
	}), nil
}

// saslFunc makes a function a sasl.Server.
type saslFunc func(response []byte) (challenge []byte, done bool, err error)

func (f saslFunc) Next(response []byte) ([]byte, bool, error) { return f(response) }
