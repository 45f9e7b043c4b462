package policy

import (
	"slices"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// admitted is what the relay policy let in, of one transaction.
type admitted struct {
	message *smtpserver.Message
	rcpts   []string
}

type admittedKey struct{}

// Admit records that mail for the recipient may pass, for the transaction
// that s has in progress. [Relay] does so at RCPT. Handover hands only
// admitted recipients to the queue, so that a server whose relay policy was
// forgotten, or passed over by an agent's ErrAccept, relays for nobody. An
// agent that accepts or adds a recipient by its own authority calls Admit.
func Admit(s *smtpserver.Session, rcpt string) {
	m := s.Message()
	a, _ := s.Value(admittedKey{}).(*admitted)
	if a == nil {
		a = new(admitted)
		s.SetValue(admittedKey{}, a)
	}
	if a.message != m {
		a.message, a.rcpts = m, a.rcpts[:0]
	}
	a.rcpts = append(a.rcpts, rcpt)
}

// isAdmitted says whether Admit was called for the recipient in m's
// transaction. The i-th recipient is looked for at the i-th place first,
// where it is unless an agent has changed the envelope.
func isAdmitted(s *smtpserver.Session, m *smtpserver.Message, i int) bool {
	a, _ := s.Value(admittedKey{}).(*admitted)
	if a == nil || a.message != m {
		return false
	}
	to := m.Recipients[i].Addr
	return i < len(a.rcpts) && a.rcpts[i] == to || slices.Contains(a.rcpts, to)
}
