package queue

import (
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// checkHeader changes the header section of m so that all programs read it the
// same way: see [Queue.Submit]. It reads the header section once. If whole is
// true, m does not come from a server, which has made these checks: checkHeader
// then refuses content that is not a mail message, and a message that has more
// Received fields than Limits.Received allows (RFC 5321, 6.3).
func (q *Queue) checkHeader(m *Message, whole bool) error {
	if settings.IsNil(m.Content) {
		return refuse(554, smtp.EnhancedCode{5, 6, 0}, "Message.Content is nil", nil)
	}
	var problem error
	c, err := guarded(q.log, "the content", func() (*content.Content, error) {
		c := repeatable(m.Content)
		if !whole {
			insertions, err := header.Repairs(c, c.Size())
			return withInsertions(c, insertions), err
		}
		var insertions []header.Insertion
		var err error
		insertions, problem, err = q.checkMessage(m, c)
		return withInsertions(c, insertions), err
	})
	switch {
	case err != nil:
		return refuse(451, smtp.EnhancedCode{4, 3, 0}, "The content cannot be read", q.readable(err))
	case problem != nil:
		return problem
	}
	m.Content = c
	return nil
}

// checkMessage returns the insertions that the header section needs. problem is
// why the message is refused.
func (q *Queue) checkMessage(m *Message, c *content.Content) (insertions []header.Insertion, problem, err error) {
	s, err := header.Summarize(c, c.Size(), q.host)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case s.Empty: // RFC 5322, 3.6 requires Date and From
		return nil, refuse(554, smtp.EnhancedCode{5, 6, 0}, "The content has no header: it must begin with a header field such as From", nil), nil
	case s.Hops > q.limits.Received:
		return nil, refuse(554, smtp.EnhancedCode{5, 4, 6}, "Too many hops: mail loop", nil), nil
	case m.Options.Body == smtp.BodyBinaryMIME: // RFC 3030: any bytes
		return s.Repairs, nil, nil
	}
	bare, err := content.CheckLineEnds(c)
	if bare != nil {
		return nil, refuse(554, smtp.EnhancedCode{5, 6, 11}, "The content is not a mail message: "+bare.Error(), nil), nil
	}
	return s.Repairs, nil, err
}

// repeatable returns c as a Content that is read only by ReadAt. A strings.Reader
// or bytes.Reader is a Content too, but its WriteTo can be called only once.
func repeatable(c Content) *content.Content {
	if c, ok := c.(*content.Content); ok {
		return c
	}
	return content.Section(c, 0, c.Size())
}

// withInsertions returns c with text inserted. It shares c's bytes.
func withInsertions(c *content.Content, insertions []header.Insertion) *content.Content {
	if len(insertions) == 0 {
		return c
	}
	return c.Insert(len(insertions), func(i int) (int64, string) {
		return int64(insertions[i].At), insertions[i].Text
	})
}
