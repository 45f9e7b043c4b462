package queue

import "github.com/bridgehead-mail/bridgehead/internal/header"

// inMailLoop reports whether a report of the Queue itself has too many Received
// fields. Other mail was checked before it was accepted. It must not bounce
// later because a limit has changed.
func (q *Queue) inMailLoop(m *Message) bool {
	if !m.System || m.Content == nil {
		return false
	}
	n, err := guarded(q.log, "the content", func() (int, error) { return header.Hops(m.Content, m.Content.Size(), q.host) })
	return err == nil && n > q.limits.Received // the attempt reports an error of the content
}
