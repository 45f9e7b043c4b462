package smtpclient

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// errNoSTARTTLS means that the host does not offer STARTTLS.
var errNoSTARTTLS = errors.New("the host does not offer STARTTLS")

// errHandshake means that the TLS handshake failed.
var errHandshake = errors.New("TLS handshake failed")

// StartTLS negotiates TLS with STARTTLS (RFC 3207) and sends EHLO again. config
// decides how the certificate is verified; nil is the default of crypto/tls. If
// ServerName is empty, Config.Host is used. If the host does not offer STARTTLS,
// the error is a *TLSError.
func (c *Client) StartTLS(ctx context.Context, config *tls.Config) error {
	return c.do(ctx, func() error {
		if _, ok := c.ext["STARTTLS"]; !ok {
			return &TLSError{Policy: TLSEncrypt.String(), Host: c.name(), Err: errNoSTARTTLS}
		}
		if config == nil {
			config = &tls.Config{}
		}
		if config.ServerName == "" {
			config = config.Clone()
			config.ServerName = c.cfg.Host
		}
		if err := c.startTLS(config); err != nil {
			return err
		}
		return c.hello()
	})
}

// startTLS sends STARTTLS and does the handshake.
func (c *Client) startTLS(config *tls.Config) error {
	r, err := c.command("STARTTLS", "STARTTLS")
	if err != nil {
		return err
	}
	if r.code != 220 {
		return unexpected("STARTTLS", r)
	}
	if c.buffered() {
		// An attacker may have inserted it, to have it read as a reply in TLS.
		return &ProtocolError{Phase: "STARTTLS", Problem: "plain text after the reply"}
	}
	return c.handshake(config)
}

// handshake does the TLS handshake. It forgets what the host announced in plain
// text (RFC 3207, 4.2).
func (c *Client) handshake(config *tls.Config) error {
	if err := c.arm(c.raw.SetDeadline, c.cfg.Timeouts.handshake()); err != nil {
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	conn := tls.Client(c.raw, config)
	c.mon.show(live.StateTLS, func(*live.Details) {})
	err := conn.Handshake()
	c.mon.took(stageHandshake)
	if err != nil {
		return fmt.Errorf("%w: %w", errHandshake, c.cause(err))
	}
	c.setTLS(conn)
	c.setExtensions(reply{})
	return nil
}

func (c *Client) setTLS(conn *tls.Conn) {
	state := conn.ConnectionState()
	c.conn, c.tls = conn, &state
	c.r, c.w = 0, 0
	c.verified = len(state.VerifiedChains) > 0
	c.tlsText = describeTLS(&state)
	c.log.secured(&state)
	c.mon.show(live.StateTLS, func(d *live.Details) { d.TLS = c.tlsText })
}

// describeTLS describes the encryption: "TLS1.3 TLS_AES_128_GCM_SHA256".
func describeTLS(s *tls.ConnectionState) string {
	version := map[uint16]string{
		tls.VersionTLS10: "TLS1.0", tls.VersionTLS11: "TLS1.1",
		tls.VersionTLS12: "TLS1.2", tls.VersionTLS13: "TLS1.3",
	}[s.Version]
	return version + " " + tls.CipherSuiteName(s.CipherSuite)
}

// describeCert describes a certificate for errors and logs.
func describeCert(cert *x509.Certificate) string {
	return fmt.Sprintf("subject %q, issuer %q, names %q, %s to %s, sha256 %x",
		cert.Subject, cert.Issuer, cert.DNSNames,
		cert.NotBefore.UTC().Format("2006-01-02"), cert.NotAfter.UTC().Format("2006-01-02"), sha256.Sum256(cert.Raw))
}
