package smtpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// AdaptGoSMTP adapts sessions that were written for go-smtp. Add the agent to
// Server.Agents and set Server.Handler to the handler. If the sessions are
// smtp.AuthSessions, also set Server.Auth to the Authenticator.
//
// A nil newSession is an error of Server.Validate. newSession is called at the first greeting of each session, and again at the
// first greeting under TLS. With Server.LMTP, an smtp.LMTPSession can reply for
// each recipient. After an AuthSession has succeeded, Session.Identity is
// "authenticated", because go-smtp does not report the identity.
func AdaptGoSMTP(newSession func(s *Session) (smtp.Session, error)) (Agent, Handler, Authenticator) {
	g := goSMTP{newSession}
	if newSession == nil {
		g.newSession = func(*Session) (smtp.Session, error) { return nil, errNoSession }
		return Agent{}, invalidHandler{g, errNoSession}, invalidAuth(errNoSession.Error())
	}
	return g.agent(), g, g
}

type goSMTP struct {
	newSession func(s *Session) (smtp.Session, error)
}

var errNoSession = errors.New("AdaptGoSMTP: newSession is nil")

// An invalidHandler is a Handler with an argument that can never work.
type invalidHandler struct {
	Handler
	err error
}

type goSMTPKey struct{}

// adaptedSession is a go-smtp session, and the TLS state when it began.
type adaptedSession struct {
	smtp.Session
	tls *tls.ConnectionState
}

func adapted(s *Session) smtp.Session {
	m, _ := s.Value(goSMTPKey{}).(adaptedSession)
	return m.Session
}

// session returns the go-smtp session, and creates it if necessary. After
// STARTTLS it creates a new one, because the server must forget what it knows
// from before (RFC 3207, 4.2).
func (g goSMTP) session(s *Session) (smtp.Session, error) {
	if m, _ := s.Value(goSMTPKey{}).(adaptedSession); m.Session != nil && m.tls == s.tls {
		return m.Session, nil
	}
	g.logout(s)
	m, err := g.newSession(s)
	if err != nil {
		return nil, err
	}
	s.SetValue(goSMTPKey{}, adaptedSession{m, s.tls})
	return m, nil
}

func (g goSMTP) logout(s *Session) {
	if m := adapted(s); m != nil {
		s.SetValue(goSMTPKey{}, nil)
		if err := m.Logout(); err != nil {
			s.log(slog.LevelWarn, "go-smtp: Logout failed", slog.Any("error", err))
		}
	}
}

func (g goSMTP) agent() Agent {
	return Agent{
		Name: "go-smtp",
		Helo: func(_ context.Context, s *Session, _ string) error {
			_, err := g.session(s)
			return err
		},
		Mail: func(_ context.Context, s *Session, from string, opts *smtp.MailOptions) error {
			m, err := g.session(s)
			if err != nil {
				return err
			}
			return m.Mail(from, opts)
		},
		Rcpt: func(_ context.Context, s *Session, to string, opts *smtp.RcptOptions) error {
			return adapted(s).Rcpt(to, opts)
		},
		Reset: func(_ context.Context, s *Session) {
			if m := adapted(s); m != nil { // nil if another agent refused MAIL first
				m.Reset()
			}
		},
		Disconnect: func(_ context.Context, s *Session) { g.logout(s) },
	}
}

// Receive implements Handler: it calls Data or LMTPData of the session.
func (g goSMTP) Receive(_ context.Context, s *Session, m *Message) (string, error) {
	c := m.content()
	m0 := adapted(s)
	l, ok := m0.(smtp.LMTPSession)
	if !s.srv.LMTP || !ok {
		err := m0.Data(c.Reader())
		if err == nil {
			err = m.Close()
		}
		return "", err
	}
	st := &lmtpStatus{m: m, errs: make(RecipientErrors, len(m.Recipients)), set: make([]bool, len(m.Recipients))}
	err := l.LMTPData(c.Reader(), st)
	return "", st.result(err)
}

// lmtpStatus implements smtp.StatusCollector.
type lmtpStatus struct {
	m    *Message
	errs RecipientErrors
	set  []bool
}

// SetStatus sets the status of the next recipient with that address.
func (l *lmtpStatus) SetStatus(rcpt string, err error) {
	for i, r := range l.m.Recipients {
		if r.Addr == rcpt && !l.set[i] {
			l.set[i], l.errs[i] = true, err
			return
		}
	}
}

// result returns the errors of the recipients. err is for recipients without a
// status of their own. result closes the message: its content has been read.
func (l *lmtpStatus) result(err error) error {
	some := false
	for i := range l.errs {
		if !l.set[i] {
			l.errs[i] = err
		}
		some = some || l.errs[i] != nil
	}
	err = l.m.Close()
	if some {
		return l.errs
	}
	return err
}

func (g goSMTP) Mechanisms(s *Session) []string {
	if a, ok := adapted(s).(smtp.AuthSession); ok {
		return a.AuthMechanisms()
	}
	return nil
}

func (g goSMTP) Start(_ context.Context, s *Session, mechanism string) (sasl.Server, error) {
	a, ok := adapted(s).(smtp.AuthSession)
	if !ok {
		return nil, errNotOffered(mechanism)
	}
	server, err := a.Auth(mechanism)
	if err != nil {
		return nil, err
	}
	return saslFunc(func(response []byte) ([]byte, bool, error) {
		challenge, done, err := server.Next(response)
		if done && err == nil {
			s.SetIdentity("authenticated")
		}
		return challenge, done, err
	}), nil
}
