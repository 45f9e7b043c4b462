package smtpserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/live"
	"github.com/bridgehead-mail/bridgehead/internal/site"
)

func (s *Session) canStartTLS() bool {
	return s.tls == nil && s.srv.TLSConfig != nil && s.srv.has(ExtStartTLS) &&
		(s.srv.TLSMode == TLSOffered || s.srv.TLSMode == TLSRequired)
}

// mustStartTLS reports whether TLSRequired applies and TLS has not started.
func (s *Session) mustStartTLS() bool { return s.srv.TLSMode == TLSRequired && s.tls == nil }

// cmdSTARTTLS starts TLS (RFC 3207). The server forgets everything that came
// before.
func (s *Session) cmdSTARTTLS(arg string) error {
	switch {
	case arg != "":
		return s.protocolError(501, smtp.EnhancedCode{5, 5, 4}, "STARTTLS takes no argument")
	case s.tls != nil:
		return s.protocolError(503, smtp.EnhancedCode{5, 5, 1}, "TLS is already active")
	case !s.canStartTLS():
		return s.notImplemented("STARTTLS")
	}
	if err := s.checkEarly("before the reply to STARTTLS"); err != nil {
		return err
	}
	s.show(live.StateTLS, time.Time{})
	if ok, err := s.pass(s.ask(func(a *Agent) error {
		if a.StartTLS == nil {
			return nil
		}
		return a.StartTLS(s.ctx, s)
	})); !ok {
		return err
	}
	// CVE-2011-0411: commands in plain text that came together with STARTTLS
	// must not be run as if they had come through TLS.
	s.in.drop()
	s.reply(220, smtp.EnhancedCode{2, 0, 0}, "Ready to start TLS")
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.handshake(); err != nil {
		return err
	}
	// RFC 3207, 4.2: back to the state after the banner, without any knowledge.
	s.state, s.helo, s.esmtp, s.identity = connected, heloName{}, false, ""
	s.allowance = s.atConnect
	s.show(live.StateTLS, time.Time{})
	return nil
}

// handshake does the TLS handshake. If it fails, the session ends, because the
// connection cannot return to plain text.
func (s *Session) handshake() error {
	s.show(live.StateTLS, time.Time{})
	raw := s.conn
	if b := s.in.buffered(); len(b) > 0 { // it came together with a PROXY header
		raw = &takenConn{Conn: raw, unread: bytes.Clone(b)}
	}
	conn := tls.Server(raw, s.srv.tls)
	ctx, cancel := context.WithTimeout(s.srv.open, s.waitAtMost(s.lim.HandshakeTimeout))
	defer cancel()
	// Only the context limits the handshake.
	s.readDeadline, s.writeDeadline = time.Time{}, time.Time{}
	if err := s.netConn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	s.beginWait(waitHandshake, time.Now())
	err := conn.HandshakeContext(ctx)
	s.endWait()
	if err != nil {
		s.srv.counters.tlsFailed.Add(1)
		s.traceInfo("TLS handshake failed: " + err.Error())
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := conn.ConnectionState()
	s.setTLS(state)
	s.setConn(conn)
	s.srv.counters.tlsVersion(state.Version)
	s.traceTLS()
	s.logTLS(&state)
	return nil
}

// tlsModes has the names of the modes, for the log.
var tlsModes = map[TLSMode]string{TLSOffered: "offered", TLSOff: "off", TLSRequired: "required", TLSImplicit: "implicit"}

// logTLS logs the TLS of the session. Old TLS is always logged.
func (s *Session) logTLS(state *tls.ConnectionState) {
	version, cipher := slog.String("version", tls.VersionName(state.Version)), slog.String("cipher", tls.CipherSuiteName(state.CipherSuite))
	if s.oldTLS {
		s.log(slog.LevelInfo, "TLS", version, cipher)
	} else if log := s.debug(site.PartTLS); log != nil {
		verified := "no certificate of the client"
		if len(state.VerifiedChains) > 0 {
			verified = "certificate of the client"
		}
		log.Debug("TLS", version, cipher, slog.String("sni", state.ServerName), slog.String("verified", verified), slog.String("policy", tlsModes[s.srv.TLSMode]))
	}
}
