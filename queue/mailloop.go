package queue

import "github.com/bridgehead-mail/bridgehead/internal/header"

// inMailLoop reports whether a message that the queue made itself has come
// through too many hosts. Other mail was counted before it was accepted. It is
// not bounced for its hops later, if the limit is then lower.
func (q *Queue) inMailLoop(m *Message) bool {
	if !m.System || m.Content == nil {
		return false
	}
	n, err := guarded(q.log, "the content", func() (int, error) { return header.Hops(m.Content, m.Content.Size(), q.host) })
	return err == nil && n > q.limits.Received // the attempt reports an error of the content
}
