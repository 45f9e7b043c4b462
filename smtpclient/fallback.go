package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"time"
)

// tlsFailure is a failure of TLS that a host has offered, up to the first
// reply under it: with TLS 1.3 a host refuses our handshake only after we have
// finished it. A policy that is not met is a *TLSError instead, or also.
type tlsFailure struct {
	err  error
	when tlsStage
}

func (e *tlsFailure) Error() string { return e.err.Error() }
func (e *tlsFailure) Unwrap() error { return e.err }

// tlsStage is how far TLS came before it failed.
type tlsStage uint8

const (
	tlsClosed tlsStage = iota // the host closed, or was silent, at STARTTLS
	tlsOdd                    // its reply to STARTTLS was not one, or more than one
	tlsBroken                 // the handshake failed
	tlsLate                   // the conversation under TLS broke before it began
)

// secured opens a session with as much TLS as the host can do. At
// TLSOpportunistic, anything is better than no mail, and any TLS better than
// plain text (RFC 7435, 3): what fails is followed by old TLS, and that by
// plain text, each on a connection of its own. No other level falls back.
func (t *Transport) secured(ctx context.Context, dst *Destination, tg *target) (*Client, error) {
	s := tg.security
	for {
		c, err := t.authenticated(ctx, dst, tg, &s)
		if ctx.Err() != nil || !t.fallBack(dst, tg, &s, err) {
			return c, err
		}
	}
}

// fallBack lowers s by one step after err, where that is a failure of TLS and
// the policy allows it.
func (t *Transport) fallBack(dst *Destination, tg *target, s *security, err error) bool {
	k := downKey{tg.addr, t.key(dst)}
	var f *tlsFailure
	switch {
	case err == nil && !s.never:
		t.starttls.remove(k)
		return false
	case s.must || s.never || !errors.As(err, &f):
		return false
	case f.when == tlsBroken && !s.old && !isNotTLS(err) && t.hasOldTLS():
		t.log(t.connector(dst), "TLS failed, going on with old TLS", tg.host.Name, tg.addr, err)
		s.old = true
		return true
	case t.ImplicitTLS:
		return false // nothing else is spoken there
	case f.when == tlsClosed && t.starttls.last(time.Now(), k).at.IsZero():
		// Perhaps the host closes for another reason. If it does so again at
		// the next attempt, it is STARTTLS.
		t.starttls.add(k, time.Now(), time.Minute)
		return false
	}
	t.log(t.connector(dst), "TLS failed, going on without", tg.host.Name, tg.addr, err)
	s.never = true
	return true
}

// hasOldTLS says whether old TLS would differ from what was tried.
func (t *Transport) hasOldTLS() bool {
	c := t.TLSConfig
	return c == nil || c.MinVersion == 0 || c.CipherSuites == nil
}

// isNotTLS says whether what the host answered to our handshake is not TLS at
// all, old or not.
func isNotTLS(err error) bool {
	var e tls.RecordHeaderError
	return errors.As(err, &e)
}

// authenticated opens a session under s and authenticates.
func (t *Transport) authenticated(ctx context.Context, dst *Destination, tg *target, s *security) (*Client, error) {
	for {
		c, err := t.session(ctx, dst, tg, s)
		if c == nil || !c.lostInAuth(err, &s.refused) || ctx.Err() != nil {
			return c, err
		}
		// The host closes after it has refused a mechanism: the next one on
		// another connection.
		s.refused = c.refused
	}
}
