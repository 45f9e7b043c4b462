package policy

import (
	"context"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Unless returns an agent that does not check sessions that have the right. For
// example, Unless(BypassAntiSpam, a) exempts trusted clients from the filter a.
// The functions Reject, Disconnect, Command and Keywords of the agent are
// called for all sessions.
func Unless(right Right, a smtpserver.Agent) smtpserver.Agent {
	return unless(a, func(ctx context.Context, s *smtpserver.Session) bool { return RightsOf(ctx, s)&right != 0 })
}

// unless wraps the events of an agent that can refuse.
func unless(a smtpserver.Agent, skip func(context.Context, *smtpserver.Session) bool) smtpserver.Agent {
	if f := a.Connect; f != nil {
		a.Connect = func(ctx context.Context, s *smtpserver.Session) error {
			if skip(ctx, s) {
				return nil
			}
			return f(ctx, s)
		}
	}
	if f := a.Helo; f != nil {
		a.Helo = func(ctx context.Context, s *smtpserver.Session, name string) error {
			if skip(ctx, s) {
				return nil
			}
			return f(ctx, s, name)
		}
	}
	if f := a.Auth; f != nil {
		a.Auth = func(ctx context.Context, s *smtpserver.Session) error {
			if skip(ctx, s) {
				return nil
			}
			return f(ctx, s)
		}
	}
	return unlessTransaction(a, skip)
}

func unlessTransaction(a smtpserver.Agent, skip func(context.Context, *smtpserver.Session) bool) smtpserver.Agent {
	if f := a.Mail; f != nil {
		a.Mail = func(ctx context.Context, s *smtpserver.Session, from string, o *smtp.MailOptions) error {
			if skip(ctx, s) {
				return nil
			}
			return f(ctx, s, from, o)
		}
	}
	if f := a.Rcpt; f != nil {
		a.Rcpt = func(ctx context.Context, s *smtpserver.Session, to string, o *smtp.RcptOptions) error {
			if skip(ctx, s) {
				return nil
			}
			return f(ctx, s, to, o)
		}
	}
	if f := a.Data; f != nil {
		a.Data = func(ctx context.Context, s *smtpserver.Session) error {
			if skip(ctx, s) {
				return nil
			}
			return f(ctx, s)
		}
	}
	a.EndOfHeaders = unlessMessage(a.EndOfHeaders, skip)
	a.EndOfData = unlessMessage(a.EndOfData, skip)
	return a
}

func unlessMessage(f func(context.Context, *smtpserver.Session, *smtpserver.Message) error, skip func(context.Context, *smtpserver.Session) bool) func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if skip(ctx, s) {
			return nil
		}
		return f(ctx, s, m)
	}
}
