package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// Auth is a smtpclient.Authenticator that logs in with the tokens of Source, with
// OAUTHBEARER or XOAUTH2. It sends a token only over TLS 1.2 or later, to a host whose
// certificate is valid for its name, independent of the TLS level of the transport. A
// host without a name, such as 192.0.2.1, gets none. When a host refuses a token, the
// next session gets a new one.
type Auth struct {
	// Username is the mailbox that the relay logs in to.
	Username string
	// Source provides the tokens.
	Source *Source
	// Roots are the certificate authorities of the hosts. Default: those of the
	// system.
	Roots *x509.CertPool
}

var _ smtpclient.Authenticator = (*Auth)(nil)

// Identity implements smtpclient.Authenticator.
func (a *Auth) Identity() string { return a.Username }

// Start implements smtpclient.Authenticator.
func (a *Auth) Start(ctx context.Context, host string, mechanisms []string, state *tls.ConnectionState) (sasl.Client, error) {
	if a.Source == nil {
		return nil, errors.New("oauth: Auth has no Source")
	}
	if err := a.proved(host, state); err != nil {
		return nil, fmt.Errorf("the access token is not sent: %w", err)
	}
	return smtpclient.TokenAuth(a.Username, a.Source.Token).Start(ctx, host, mechanisms, state)
}

// Refused is called by smtpclient when the host has refused the token.
func (a *Auth) Refused(reply *smtp.SMTPError) {
	if reply.Code/100 == 5 && a.Source != nil {
		a.Source.Forget()
	}
}

var (
	errPlain  = errors.New("the session has no TLS")
	errOldTLS = errors.New("the session has a version of TLS before 1.2")
	errNoName = errors.New("the host has no name that a certificate could prove")
)

// proved reports whether the host at the other end has proved its name.
func (a *Auth) proved(host string, state *tls.ConnectionState) error {
	switch {
	case state == nil || len(state.PeerCertificates) == 0:
		return errPlain
	case state.Version < tls.VersionTLS12:
		return errOldTLS
	case !named(host):
		return errNoName
	}
	opts := x509.VerifyOptions{DNSName: strings.TrimSuffix(host, "."), Roots: a.Roots, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(opts)
	return err
}

// named reports whether host is a name, and not an address.
func named(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && host != "" && !strings.ContainsAny(host, "[]:/@?#% \t\r\n")
}
