package queue

import (
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// repair gives m a header section that all programs read alike: see
// [Queue.Submit].
func (q *Queue) repair(m *Message) error {
	if m.Content == nil {
		m.Content = Bytes()
		return nil
	}
	c, err := guarded(q.log, "the content", func() (Content, error) { return repaired(m.Content) })
	if err != nil {
		return refuse(451, smtp.EnhancedCode{4, 3, 0}, "The content cannot be read", q.readable(err))
	}
	m.Content = c
	return nil
}

// repaired is c with the insertions that its header section needs. It shares
// c's bytes.
func repaired(c Content) (Content, error) {
	insertions, err := header.Repairs(c, c.Size())
	if err != nil || len(insertions) == 0 {
		return c, err
	}
	whole, ok := c.(*content.Content)
	if !ok {
		whole = content.Section(c, 0, c.Size())
	}
	var pieces []*content.Content
	at := int64(0)
	for _, i := range insertions {
		pieces = append(pieces, whole.Slice(at, int64(i.At)-at), content.Of([]byte(i.Text)))
		at = int64(i.At)
	}
	return content.Join(append(pieces, whole.Slice(at, whole.Size()-at))...), nil
}
