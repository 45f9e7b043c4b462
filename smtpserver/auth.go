package smtpserver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// An Authenticator provides the SASL mechanisms of a session.
type Authenticator interface {
	// Mechanisms returns the names for the EHLO reply, the preferred one first.
	Mechanisms(s *Session) []string
	// Start begins an exchange. The method Next of the returned sasl.Server
	// must call s.SetIdentity before it reports success. If Next returns a
	// *smtp.SMTPError, the SMTP server sends it as the reply. For any other
	// error, it replies 535 5.7.8.
	Start(ctx context.Context, s *Session, mechanism string) (sasl.Server, error)
}

// mechanisms returns the mechanisms that the client may use now.
func (s *Session) mechanisms() []string {
	if s.srv.Auth == nil || !s.mayAuth() {
		return nil
	}
	return s.srv.Auth.Mechanisms(s)
}

// cmdAUTH authenticates the client (RFC 4954).
func (s *Session) cmdAUTH(arg string) error {
	mech, initial := nextWord(arg)
	mech = strings.ToUpper(mech)
	switch {
	case s.srv.Auth == nil:
		return s.notImplemented("AUTH")
	case s.identity != "":
		return s.protocolError(503, smtp.EnhancedCode{5, 5, 1}, "Already authenticated")
	case mech == "":
		return s.syntax("Syntax: AUTH mechanism [initial-response]")
	case !s.mayAuth() && s.tls != nil:
		return s.fail(refusal(538, 5, 7, 11, "TLS 1.2 with forward secrecy is required before AUTH"))
	case !s.mayAuth():
		return s.fail(refusal(538, 5, 7, 11, "Encryption is required before AUTH")) // RFC 4954, 6
	case !slices.Contains(s.mechanisms(), mech):
		return s.fail(refusal(504, 5, 5, 4, "Authentication mechanism is not supported"))
	}
	if err := s.checkEarly("before the reply to AUTH"); err != nil {
		return err
	}
	var response []byte
	if initial != "" {
		var ok bool
		if response, ok = decodeInitial(initial); !ok {
			return s.protocolError(501, smtp.EnhancedCode{5, 5, 2}, "Bad base64")
		}
	}
	s.show(live.StateAuth, time.Time{})
	server, err := s.srv.Auth.Start(s.ctx, s, mech)
	if err == nil {
		var stop bool
		if stop, err = s.exchange(mech, server, response); stop {
			return err
		}
	}
	if err == nil && s.identity == "" {
		err = errors.New("mechanism " + mech + " reported success without an identity")
	}
	if err != nil {
		return s.authFailed(mech, err)
	}
	return s.authenticated(mech)
}

// exchange runs challenges and responses. stop is true if the command is
// complete without a result: the client cancelled it, sent bad base64, the
// LoginLimit refused it, or the connection failed.
func (s *Session) exchange(mech string, server sasl.Server, response []byte) (stop bool, err error) {
	for {
		challenge, done, stop, err := s.next(server, response)
		if stop || err != nil || (done && len(challenge) == 0) {
			return stop, err
		}
		s.reply(334, noCode, base64.StdEncoding.EncodeToString(challenge))
		line, err := s.readLine(s.lim.AuthLine, s.lim.AuthLine)
		if err != nil {
			return true, s.waitEnded(err)
		}
		s.trace('<', []byte("<response>"))
		line = bytes.Trim(line, blanks)
		if bytes.Equal(line, []byte{'*'}) { // RFC 4954, 4: the client gives up
			return true, s.giveUp(mech, server, smtp.EnhancedCode{5, 7, 0}, "Authentication cancelled")
		}
		var ok bool
		if response, ok = decodeBase64(line); !ok {
			return true, s.giveUp(mech, server, smtp.EnhancedCode{5, 5, 2}, "Bad base64")
		}
		if done { // RFC 4954, 4: data that comes with success is sent as one more challenge
			if len(response) > 0 {
				err = sasl.ErrUnexpectedClientResponse
			}
			return false, err
		}
	}
}

// giveUp ends an exchange before its end. It counts as a failed login if the
// mechanism has already refused the client in a challenge.
func (s *Session) giveUp(mech string, server sasl.Server, ec smtp.EnhancedCode, text string) error {
	s.identity = ""
	cause := refusedIn(server)
	if cause == nil {
		return s.protocolError(501, ec, text)
	}
	if err := s.noteAuthFailure(mech, cause); err != nil {
		return err
	}
	if err := s.protocolError(501, ec, text); err != nil {
		return err
	}
	return s.tooManyLogins()
}

// decodeInitial decodes an initial response; "=" means an empty one.
func decodeInitial(text string) ([]byte, bool) {
	if text == "=" {
		return []byte{}, true
	}
	b, ok := decodeBase64([]byte(text))
	return b, ok && len(b) > 0
}

// decodeBase64 decodes base64, with padding or, as some clients send it,
// without.
func decodeBase64(text []byte) ([]byte, bool) {
	if bytes.ContainsAny(text, "\r\n") { // encoding/base64 ignores them
		return nil, false
	}
	enc := base64.RawStdEncoding
	if len(text)%4 == 0 {
		enc = base64.StdEncoding
	}
	b := make([]byte, enc.DecodedLen(len(text)))
	n, err := enc.Strict().Decode(b, text)
	return b[:n], err == nil
}

func (s *Session) authenticated(mech string) error {
	before := s.allowance
	ok, err := s.pass(s.ask(func(a *Agent) error {
		if a.Auth == nil {
			return nil
		}
		return a.Auth(s.ctx, s)
	}))
	if !ok {
		s.identity, s.allowance = "", before
		return err
	}
	s.srv.counters.authenticated.Add(1)
	s.srv.counters.logins.Add(mech, 1)
	s.show(live.StateAuth, time.Time{})
	s.log(slog.LevelInfo, "authenticated", slog.String("mechanism", mech), slog.String("identity", s.identity))
	s.traceInfo("authenticated by " + mech + " as " + s.identity)
	s.reply(235, smtp.EnhancedCode{2, 7, 0}, "Authentication succeeded")
	return nil
}

// authFailed counts a failed login, delays the reply and refuses. The reply
// does not contain the reason, unless the mechanism returned an SMTPError.
func (s *Session) authFailed(mech string, cause error) error {
	s.identity = ""
	if err := s.noteAuthFailure(mech, cause); err != nil {
		return err
	}
	v := &verdict{reply: refusal(535, 5, 7, 8, "Authentication credentials invalid"), by: "auth", cause: nil}
	var e *smtp.SMTPError
	if errors.As(cause, &e) {
		v = verdictOf(cause, "auth")
	}
	s.refuse(v)
	if v.close {
		return errClosing
	}
	return s.tooManyLogins()
}

func (s *Session) noteAuthFailure(mech string, cause error) error {
	s.authFailures++
	s.srv.counters.authFailed.Add(1)
	s.srv.counters.failedLogins.Add(mech, 1)
	s.log(slog.LevelWarn, "authentication failed", slog.String("mechanism", mech), slog.Any("error", cause))
	return s.tarpit()
}

func (s *Session) tooManyLogins() error {
	if s.authFailures >= s.lim.AuthFailures {
		return s.bye(421, smtp.EnhancedCode{4, 7, 0}, "Too many failed logins")
	}
	return nil
}
