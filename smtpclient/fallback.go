package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"time"
)

// tlsFailure is a failure of TLS with a host that offers it, up to the first
// reply in TLS: with TLS 1.3 a host can refuse the handshake after the client
// has finished it. If a policy is not met, the error is, or contains, a
// *TLSError.
type tlsFailure struct {
	err  error
	when tlsStage
}

func (e *tlsFailure) Error() string { return e.err.Error() }
func (e *tlsFailure) Unwrap() error { return e.err }

// tlsStage is the point at which TLS failed.
type tlsStage uint8

const (
	tlsClosed tlsStage = iota // the host closed the connection, or did not reply, at STARTTLS
	tlsOdd                    // the reply to STARTTLS was malformed, or more followed it
	tlsBroken                 // the handshake failed
	tlsLate                   // the connection failed before the first reply in TLS
)

// secured opens a session with the best TLS that the host supports. At
// TLSOpportunistic it falls back: if TLS fails, it tries old TLS, and if that
// fails, plain text, each on a new connection (RFC 7435, 3). The other levels do
// not fall back.
func (t *Transport) secured(ctx context.Context, dst *Destination, tg *target, b bounds) (*Client, error) {
	s := tg.security
	for {
		c, err := t.authenticated(ctx, dst, tg, &s, b)
		if ctx.Err() != nil || b.over(time.Now()) || !t.fallBack(dst, tg, &s, err) {
			return c, err
		}
	}
}

// fallBack lowers s by one step if err is a failure of TLS and the policy
// allows that. It reports whether it has lowered s.
func (t *Transport) fallBack(dst *Destination, tg *target, s *security, err error) bool {
	k := downKey{tg.addr, t.key(dst)}
	var f *tlsFailure
	switch {
	case err == nil && !s.never:
		t.starttls.remove(k)
		return false
	case s.must || s.never || !errors.As(err, &f) || errors.Is(err, errEnded):
		return false
	case f.when == tlsBroken && !s.old && !isNotTLS(err) && t.hasOldTLS():
		t.log(t.connector(dst), "TLS failed, trying old TLS", tg.host.Name, tg.addr, err)
		s.old = true
		return true
	case t.ImplicitTLS:
		return false // the port has no plain text
	case f.when == tlsClosed && t.starttls.last(time.Now(), k).at.IsZero():
		// The host may have closed for another reason. If it closes again at
		// the next attempt, STARTTLS is the reason.
		t.starttls.add(k, time.Now(), time.Minute)
		return false
	}
	t.log(t.connector(dst), "TLS failed, trying plain text", tg.host.Name, tg.addr, err)
	s.never = true
	return true
}

// hasOldTLS reports whether old TLS differs from what was tried.
func (t *Transport) hasOldTLS() bool {
	c := t.TLSConfig
	return c == nil || c.MinVersion == 0 || c.CipherSuites == nil
}

// isNotTLS reports whether the host's answer to the handshake is not TLS of any
// version.
func isNotTLS(err error) bool {
	var e tls.RecordHeaderError
	return errors.As(err, &e)
}

// authenticated opens a session under s and authenticates.
func (t *Transport) authenticated(ctx context.Context, dst *Destination, tg *target, s *security, b bounds) (*Client, error) {
	for {
		c, err := t.session(ctx, dst, tg, s, b)
		if c == nil || !c.lostInAuth(err, &s.refused) || ctx.Err() != nil {
			return c, err
		}
		// The host closed the connection after it refused a mechanism. Try the
		// next mechanism on another connection.
		s.refused = c.refused
	}
}
