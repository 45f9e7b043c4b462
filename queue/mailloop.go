package queue

import (
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// checkHops refuses a message that has come through more hosts than
// Limits.Received allows (RFC 5321, 6.3). Mail that came by SMTP is not counted
// again: its server has counted (smtpserver.Limits.Hops), and the trace field
// that it has written since is not one of a loop.
func (q *Queue) checkHops(m *Message) error {
	if m.Origin.Protocol != "" {
		return nil
	}
	n, err := q.countHops(m)
	switch {
	case err != nil:
		return refuse(451, smtp.EnhancedCode{4, 3, 0}, "The content cannot be read", err)
	case n > q.limits.Received:
		return refuse(554, smtp.EnhancedCode{5, 4, 6}, "Too many hops: mail loop", nil)
	}
	return nil
}

// inMailLoop reports whether a message of the queue's own making has come
// through too many hosts. Other mail was counted before it was accepted, and is
// not bounced for its hops afterwards, whatever the limits are by then.
func (q *Queue) inMailLoop(m *Message) bool {
	if !m.System {
		return false
	}
	n, err := q.countHops(m)
	return err == nil && n > q.limits.Received // the attempt says what is wrong with the content
}

func (q *Queue) countHops(m *Message) (int, error) {
	if m.Content == nil {
		return 0, nil
	}
	return guarded(q.log, "the content", func() (int, error) { return header.Hops(m.Content, m.Content.Size(), q.host) })
}
