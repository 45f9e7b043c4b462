package policy

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// manyDomains returns n recipients with the same local part, at domains of U-labels:
// the longest to compare.
func manyDomains(n int) (rcpts []smtpserver.Recipient) {
	for i := range n {
		rcpts = append(rcpts, smtpserver.Recipient{Addr: fmt.Sprintf("a@bücher%d.bücher.example", i)})
	}
	return rcpts
}

// The comparison of the recipients of a message is linear, also when agents have
// removed recipients after the relay policy has admitted them.
func TestEnqueuerIsLinear(t *testing.T) {
	full := &outbox{err: errors.New("full")}
	measure := smtpserver.Agent{EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		was := m.Recipients
		defer func() { m.Recipients = was }()
		doubling.Allocations(t, "recipients", 200, func(n int) func() {
			rcpts := manyDomains(2 * n)
			for _, r := range rcpts {
				Admit(s, r.Addr)
			}
			m.Recipients = rcpts[n:]
			return func() { (&Enqueuer{Queue: full}).Receive(ctx, s, m) }
		})
		return nil
	}}
	out := new(outbox)
	relay := &Relay{Domains: mustDomains(t, Domain{Name: "example.com"})}
	srv := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{relay.Agent(), measure}, Handler: &Enqueuer{Queue: out}})
	srv.Talk(t, stranger, envelope+body+"S: 250")
	out.only(t)
}

// An admission is found whether the recipients before it were removed or not, and the
// first one counts.
func TestAdmissionIsFound(t *testing.T) {
	a := &admitted{}
	for i := range 20 {
		a.rcpts = append(a.rcpts, admission{to: fmt.Sprint(i % 10), as: fmt.Sprint("as ", i)})
		for k := range 10 {
			r := a.find(fmt.Sprint(k))
			if k > i {
				if r != nil {
					t.Errorf("%d is admitted as %q before Admit", k, r.as)
				}
			} else if r == nil || r.as != fmt.Sprint("as ", k) {
				t.Errorf("after %d admissions: %d is admitted as %v", i+1, k, r)
			}
		}
	}
}
