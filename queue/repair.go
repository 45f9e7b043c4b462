package queue

import (
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// checkHeader changes the header section of m so that all programs read it the
// same way: see [Queue.Submit]. If countHops is true, it refuses a message that
// has more Received fields than Limits.Received allows (RFC 5321, 6.3). It
// reads the header section once for both.
func (q *Queue) checkHeader(m *Message, countHops bool) error {
	if m.Content == nil {
		m.Content = Bytes()
		return nil
	}
	hops := 0
	c, err := guarded(q.log, "the content", func() (Content, error) {
		c := m.Content
		if !countHops {
			insertions, err := header.Repairs(c, c.Size())
			return withInsertions(c, insertions), err
		}
		insertions, n, err := header.RepairsAndHops(c, c.Size(), q.host)
		hops = n
		return withInsertions(c, insertions), err
	})
	switch {
	case err != nil:
		return refuse(451, smtp.EnhancedCode{4, 3, 0}, "The content cannot be read", q.readable(err))
	case hops > q.limits.Received:
		return refuse(554, smtp.EnhancedCode{5, 4, 6}, "Too many hops: mail loop", nil)
	}
	m.Content = c
	return nil
}

// withInsertions returns c with text inserted. It shares c's bytes.
func withInsertions(c Content, insertions []header.Insertion) Content {
	if len(insertions) == 0 {
		return c
	}
	whole, ok := c.(*content.Content)
	if !ok {
		whole = content.Section(c, 0, c.Size())
	}
	return whole.Insert(len(insertions), func(i int) (int64, string) {
		return int64(insertions[i].At), insertions[i].Text
	})
}
