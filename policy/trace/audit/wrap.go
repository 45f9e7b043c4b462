package audit

import (
	"context"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Names of events.
const (
	connect     = "connect"
	helo        = "helo"
	auth        = "auth"
	mail        = "mail"
	rcpt        = "rcpt"
	data        = "data"
	endOfHeader = "end of header"
	endOfData   = "end of data"
)

// Wrap returns agents that call the given agents and record their decisions.
// The result begins with an additional agent, which the Audit needs. The
// behavior of the given agents does not change.
func (a *Audit) Wrap(agents []smtpserver.Agent) []smtpserver.Agent {
	w := append([]smtpserver.Agent{a.observer()}, agents...)
	for i := range w[1:] {
		a.wrap(&w[i+1])
	}
	return w
}

func (a *Audit) wrap(g *smtpserver.Agent) {
	g.Connect = a.session(g.Name, connect, g.Connect)
	g.Auth = a.session(g.Name, auth, g.Auth)
	g.Data = a.session(g.Name, data, g.Data)
	g.EndOfHeaders = a.message(g.Name, endOfHeader, g.EndOfHeaders)
	g.EndOfData = a.message(g.Name, endOfData, g.EndOfData)
	if f := g.Helo; f != nil {
		c := a.counter(g.Name, helo)
		g.Helo = func(ctx context.Context, s *smtpserver.Session, name string) error {
			began := time.Now()
			err := f(ctx, s, name)
			a.after(s, c, s.Helo(), time.Since(began), err)
			return err
		}
	}
	if f := g.Mail; f != nil {
		c := a.counter(g.Name, mail)
		g.Mail = func(ctx context.Context, s *smtpserver.Session, from string, opts *smtp.MailOptions) error {
			began := time.Now()
			err := f(ctx, s, from, opts)
			a.after(s, c, "", time.Since(began), err)
			return err
		}
	}
	if f := g.Rcpt; f != nil {
		c := a.counter(g.Name, rcpt)
		g.Rcpt = func(ctx context.Context, s *smtpserver.Session, to string, opts *smtp.RcptOptions) error {
			began := time.Now()
			err := f(ctx, s, to, opts)
			a.after(s, c, to, time.Since(began), err)
			return err
		}
	}
}

type sessionEvent = func(context.Context, *smtpserver.Session) error

func (a *Audit) session(agent, event string, f sessionEvent) sessionEvent {
	if f == nil {
		return nil
	}
	c := a.counter(agent, event)
	return func(ctx context.Context, s *smtpserver.Session) error {
		began := time.Now()
		err := f(ctx, s)
		a.after(s, c, "", time.Since(began), err)
		return err
	}
}

type messageEvent = func(context.Context, *smtpserver.Session, *smtpserver.Message) error

func (a *Audit) message(agent, event string, f messageEvent) messageEvent {
	if f == nil {
		return nil
	}
	c := a.counter(agent, event)
	return func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		began := time.Now()
		err := f(ctx, s, m)
		a.after(s, c, "", time.Since(began), err)
		return err
	}
}
