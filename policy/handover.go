package policy

import (
	"context"
	"fmt"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Submitter takes messages over; *queue.Queue is one.
type Submitter interface {
	Submit(ctx context.Context, m *queue.Message) error
}

// Handover is the smtpserver.Handler that gives accepted messages to a queue.
// The client reads 250 only when the queue has the message on stable storage.
//
// A message with a recipient that the relay policy has not admitted (see
// [Admit]) is refused whole: 550 5.7.1.
type Handover struct {
	Queue Submitter
	// Domains give <postmaster> its domain; may be nil.
	Domains *Domains
}

var errNobody = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "The message has no recipients left"}

// Receive implements smtpserver.Handler.
func (h *Handover) Receive(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) (string, error) {
	if len(m.Recipients) == 0 { // agents have taken them all away
		return "", errNobody
	}
	for i := range m.Recipients {
		if !isAdmitted(s, m, i) {
			return "", fmt.Errorf("%w: no relay policy has admitted <%s>", errRelay, m.Recipients[i].Addr)
		}
	}
	// One allocation for all recipients: there is one for most messages.
	rcpts := make([]queue.Recipient, len(m.Recipients))
	ptrs := make([]*queue.Recipient, len(m.Recipients))
	for i, r := range m.Recipients {
		rcpts[i] = queue.Recipient{Addr: h.Domains.qualify(r.Addr), Options: r.Options}
		ptrs[i] = &rcpts[i]
	}
	qm := &queue.Message{
		ID:         m.ID,
		From:       m.From,
		Options:    m.Options,
		Recipients: ptrs,
		Content:    m.Content(),
		Received:   m.Received,
		Release:    m.Release,
		Origin: queue.Origin{
			Connector:  s.Server().Name,
			ClientHelo: s.Helo(),
			Identity:   s.Identity(),
			Protocol:   s.Protocol(),
		},
	}
	if p := m.Recipients[0].Options.MTPriority; p != nil {
		qm.Priority = *p
	}
	if ip, ok := clientIP(s); ok {
		qm.Origin.ClientAddr = ip.String()
	}
	return "", h.Queue.Submit(ctx, qm)
}
