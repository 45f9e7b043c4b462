package dkim

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/fromfield"
	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// ResultOf finds the verdict about the transaction that s has in progress;
// nil where none was checked.
func ResultOf(s *smtpserver.Session) *Verdict {
	return transaction.Kept[Verdict](s, s.Message())
}

// Agent verifies each message at the end of data. It refuses none; its place
// is before agents that change the message.
func (v *Verifier) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "dkim", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		verdict, err := v.verify(ctx, transaction.Fields(m), bodyOf(m))
		if err != nil {
			return err // the content cannot be read
		}
		transaction.Keep(s, m, verdict)
		return nil
	}}
}

// Agent signs messages at the end of data. Its place is after all agents that
// change the message, before the one that adds the Received field. A message
// without a From address is left alone; when signing fails, the client is
// asked to come again.
func (s *Signer) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "dkim sign", EndOfData: func(ctx context.Context, session *smtpserver.Session, m *smtpserver.Message) error {
		if s.When != nil && !s.When(session, m) || s.When == nil && session.Identity() == "" {
			return nil
		}
		return s.signMessage(ctx, m)
	}}
}

// Hook signs what comes into the queue by other doors than SMTP: its own
// reports, and what the program itself submits; not what is replayed, which may
// be anybody's. Its place is after all hooks that change the message.
func (s *Signer) Hook() queue.Hook {
	return queue.Hook{Name: "dkim sign", Submitted: func(ctx context.Context, qm *queue.Message) error {
		if qm.Origin.Protocol != "" || qm.Origin.Connector == "replay" {
			return nil
		}
		m := new(smtpserver.Message)
		if err := m.SetContent(qm.Content); err != nil {
			return err
		}
		before := m.Header.Size()
		err := s.signMessage(ctx, m)
		if m.Header.Size() != before {
			qm.Content = m.Content()
		}
		return err
	}}
}

func (s *Signer) signMessage(ctx context.Context, m *smtpserver.Message) error {
	domain, err := fromfield.Domain(m.Header.Values("From"))
	if err != nil {
		return nil
	}
	if a, err := addr.Domain(domain); err == nil {
		domain = a
	}
	signed, err := s.sign(ctx, strings.ToLower(domain), dkimsig.NewHeader(transaction.Fields(m)), bodyOf(m))
	var tooMuch limitError
	if errors.As(err, &tooMuch) { // it will not be better next time
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "The message cannot be signed: " + string(tooMuch)}
	}
	if err != nil || signed == "" {
		return err
	}
	return m.Header.Prepend(signed)
}

func bodyOf(m *smtpserver.Message) io.Reader {
	if m.Body == nil {
		return strings.NewReader("")
	}
	return io.NewSectionReader(m.Body, 0, m.Body.Size())
}
