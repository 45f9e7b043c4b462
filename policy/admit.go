package policy

import (
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// admission is what the relay policy decided about one recipient.
type admission struct {
	to    string        // as at RCPT
	as    string        // the address that the queue gets
	route queue.NextHop // zero: by the routing table
}

// admitted is what the relay policy let in, of one transaction.
type admitted struct {
	message *smtpserver.Message
	rcpts   []admission
}

type admittedKey struct{}

// Admit records that mail for the recipient may pass, for the transaction
// that s has in progress. [Relay] does so at RCPT. Enqueuer hands only
// admitted recipients to the queue, so that a server whose relay policy was
// forgotten, or passed over by an agent's ErrAccept, relays for nobody. An
// agent that accepts or adds a recipient by its own authority calls Admit.
func Admit(s *smtpserver.Session, rcpt string) { admit(s, admission{to: rcpt, as: rcpt}) }

// SetRoute sends the mail for a recipient whom the relay policy has admitted
// to a next hop other than the routing table's: a Connector of that table, such
// as one for a quarantine, or without one a Destination, which is a domain or
// address literal that the table finds the way to. While the table has no such
// Connector the mail waits.
//
// SetRoute is for agents at EndOfHeaders and EndOfData, and for those at RCPT
// that come after the relay policy; rcpt is the address as it was given at
// RCPT. It reports whether there is such a recipient in the transaction in
// progress.
func SetRoute(s *smtpserver.Session, rcpt string, hop queue.NextHop) bool {
	a, _ := s.Value(admittedKey{}).(*admitted)
	if a == nil || a.message != s.Message() {
		return false
	}
	found := false
	for i := range a.rcpts {
		if a.rcpts[i].to == rcpt {
			a.rcpts[i].route, found = hop, true
		}
	}
	return found
}

func admit(s *smtpserver.Session, r admission) {
	m := s.Message()
	a, _ := s.Value(admittedKey{}).(*admitted)
	if a == nil {
		a = new(admitted)
		s.SetValue(admittedKey{}, a)
	}
	if a.message != m {
		a.message, a.rcpts = m, a.rcpts[:0]
	}
	a.rcpts = append(a.rcpts, r)
}

// admissionOf finds what was decided about the i-th recipient of m's
// transaction; nil where nothing was. It is looked for at the i-th place
// first, where it is unless an agent has changed the envelope.
func admissionOf(s *smtpserver.Session, m *smtpserver.Message, i int) *admission {
	a, _ := s.Value(admittedKey{}).(*admitted)
	if a == nil || a.message != m {
		return nil
	}
	to := m.Recipients[i].Addr
	if i < len(a.rcpts) && a.rcpts[i].to == to {
		return &a.rcpts[i]
	}
	for k := range a.rcpts {
		if a.rcpts[k].to == to {
			return &a.rcpts[k]
		}
	}
	return nil
}
