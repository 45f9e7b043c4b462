package dkim

import (
	"context"
	"io"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/fromfield"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// kept is the verdict in a session, with the transaction that it is about.
type kept struct {
	message *smtpserver.Message
	verdict *Verdict
}

type keptKey struct{}

// ResultOf finds the verdict about the transaction that s has in progress;
// nil where none was checked.
func ResultOf(s *smtpserver.Session) *Verdict {
	k, _ := s.Value(keptKey{}).(*kept)
	if k == nil || s.Message() == nil || k.message != s.Message() {
		return nil
	}
	return k.verdict
}

// Agent verifies each message at the end of data. It refuses none; its place
// is before agents that change the message.
func (v *Verifier) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "dkim", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		verdict, err := v.verify(ctx, rawFields(m), bodyOf(m))
		if err != nil {
			return err // the content cannot be read
		}
		s.SetValue(keptKey{}, &kept{m, verdict})
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
		domain, err := fromfield.Domain(m.Header.Values("From"))
		if err != nil {
			return nil
		}
		if a, err := addr.Domain(domain); err == nil {
			domain = a
		}
		signed, err := s.sign(ctx, strings.ToLower(domain), dkimsig.NewHeader(rawFields(m)), bodyOf(m))
		if err != nil || signed == "" {
			return err
		}
		return m.Header.Prepend(signed)
	}}
}

func rawFields(m *smtpserver.Message) [][]byte {
	fields := m.Header.Fields()
	raw := make([][]byte, len(fields))
	for i, f := range fields {
		raw[i] = f
	}
	return raw
}

func bodyOf(m *smtpserver.Message) func(io.Writer) error {
	return func(w io.Writer) error {
		if m.Body == nil {
			return nil
		}
		_, err := m.Body.WriteTo(w)
		return err
	}
}
