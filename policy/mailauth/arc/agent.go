package arc

import (
	"context"

	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// VerdictOf returns the verdict for the current transaction of s, or nil if it
// was not verified.
func VerdictOf(s *smtpserver.Session) *Verdict {
	return transaction.Get[Verdict](s, s.Message())
}

// Inherit sets Resolver if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (v *Verifier) Inherit(d smtpserver.Defaults) {
	d.FillResolver(&v.Resolver)
}

// Agent returns an agent that verifies each message at the end of data. It
// refuses no message. Add it before agents that change the message.
func (v *Verifier) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "arc", Inherit: v.Inherit, EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		verdict, err := v.verify(ctx, dkimsig.NewHeader(transaction.Fields(m)), bodyOf(s, m))
		if err != nil {
			return err
		}
		transaction.Set(s, m, verdict)
		authres.Add(s, verdict.AuthResult())
		return nil
	}}
}

// Agent returns an agent that seals messages at the end of data. Add it after
// the Agent of a [Verifier]: a message without its verdict is not sealed. If
// sealing fails, the client gets a temporary error.
func (sl *Sealer) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "arc seal", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if sl.When != nil && !sl.When(s, m) || sl.When == nil && s.Identity() != "" {
			return nil
		}
		id := sl.ID
		if id == "" {
			id = s.Hostname()
		}
		fields, err := sl.seal(ctx, id, authres.ResultsOf(s), VerdictOf(s), dkimsig.NewHeader(transaction.Fields(m)), bodyOf(s, m))
		if err != nil {
			return err
		}
		return m.Header.Prepend(fields)
	}}
}

// bodyOf returns the hashes of the body of m. Those that the DKIM verifier or an
// agent of this package has computed are not computed again.
func bodyOf(s *smtpserver.Session, m *smtpserver.Message) bodySum {
	return func(form dkimsig.Canon) ([]byte, error) { return transaction.BodySum(s, m, form) }
}
