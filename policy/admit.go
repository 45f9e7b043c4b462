package policy

import (
	"weak"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// admission is the decision of the relay policy about one recipient.
type admission struct {
	to    string        // the address given at RCPT
	as    string        // the address that the queue gets
	route queue.NextHop // zero: the routing table decides
}

// admitted lists the recipients of one transaction that the relay policy has
// admitted.
type admitted struct {
	message weak.Pointer[smtpserver.Message] // an idle session must not keep its content
	rcpts   []admission
	first   map[string]int // the index of the first admission of each recipient
	indexed int            // how many of rcpts are in first
}

// find returns the admission of the recipient to, or nil if there is none. Agents may
// have removed many recipients, so it does not search the list for each of the others.
func (a *admitted) find(to string) *admission {
	if a.first == nil {
		a.first = make(map[string]int, len(a.rcpts))
	}
	for ; a.indexed < len(a.rcpts); a.indexed++ {
		to := a.rcpts[a.indexed].to
		if _, ok := a.first[to]; !ok {
			a.first[to] = a.indexed
		}
	}
	if k, ok := a.first[to]; ok {
		return &a.rcpts[k]
	}
	return nil
}

type admittedKey struct{}

// Admit records that the recipient may get mail in the current transaction of
// s. [Relay] calls it at RCPT. [Enqueuer] submits only admitted recipients to
// the queue. So a server relays nothing if it has no relay policy, or if
// another agent skips the relay policy with smtpserver.ErrAccept. An agent must
// call Admit if it accepts or adds recipients that no relay policy has
// admitted.
func Admit(s *smtpserver.Session, rcpt string) { admit(s, admission{to: rcpt, as: rcpt}) }

// SetRoute sets the next hop of a recipient that the relay policy has admitted.
// It overrides the routing table. The hop has a Connector of that table, for
// example one for a quarantine, or only a Destination: a domain or address
// literal that the table resolves. If the table does not have the Connector,
// the mail waits in the queue.
//
// SetRoute is for agents at EndOfHeaders and EndOfData, and for agents at RCPT
// after the relay policy. rcpt is the address that was given at RCPT. SetRoute
// reports whether the current transaction has such a recipient.
func SetRoute(s *smtpserver.Session, rcpt string, hop queue.NextHop) bool {
	a, _ := s.Value(admittedKey{}).(*admitted)
	if a == nil || a.message != weak.Make(s.Message()) {
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
	if a.message != weak.Make(m) {
		*a = admitted{message: weak.Make(m), rcpts: a.rcpts[:0]}
	}
	a.rcpts = append(a.rcpts, r)
}

// admissionOf returns the decision about the i-th recipient of m's
// transaction, or nil if there is none. It looks at the i-th position first:
// the decision is there unless an agent has changed the envelope.
func admissionOf(s *smtpserver.Session, m *smtpserver.Message, i int) *admission {
	a, _ := s.Value(admittedKey{}).(*admitted)
	if a == nil || a.message != weak.Make(m) {
		return nil
	}
	to := m.Recipients[i].Addr
	if i < len(a.rcpts) && a.rcpts[i].to == to {
		return &a.rcpts[i]
	}
	return a.find(to)
}
