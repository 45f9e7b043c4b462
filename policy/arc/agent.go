package arc

import (
	"context"
	"io"

	"github.com/bridgehead-mail/bridgehead/policy/authres"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
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
	return smtpserver.Agent{Name: "arc", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		verdict, err := v.verify(ctx, headerOf(m), bodyOf(m))
		if err != nil {
			return err
		}
		s.SetValue(keptKey{}, &kept{m, verdict})
		authres.Add(s, verdict.AuthResult())
		return nil
	}}
}

// Agent seals messages at the end of data, about whose chain a Verifier's
// agent has left a verdict before.
func (sl *Sealer) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "arc seal", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if sl.When != nil && !sl.When(s, m) || sl.When == nil && s.Identity() != "" {
			return nil
		}
		id := sl.ID
		if id == "" {
			id = s.Server().Hostname
		}
		fields, err := sl.seal(ctx, id, authres.ResultsOf(s), ResultOf(s), headerOf(m), bodyOf(m))
		if err != nil {
			return err
		}
		return m.Header.Prepend(fields)
	}}
}

func headerOf(m *smtpserver.Message) *dkimsig.Header {
	fields := m.Header.Fields()
	raw := make([][]byte, len(fields))
	for i, f := range fields {
		raw[i] = f
	}
	return dkimsig.NewHeader(raw)
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
