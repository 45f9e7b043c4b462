package content

import (
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const defaultNotice = "The attachment \"%s\" was removed from this message, because attachments of its kind are not allowed here.\r\n"

// strip puts the notice into the place of the parts that were found. Nothing
// else is touched.
func (a *Attachments) strip(m *smtpserver.Message, parts []mimetree.Part, found []finding) error {
	if found[0].part == 0 {
		return a.stripAll(m, found[0].name)
	}
	body, ok := m.Body.(*content.Content)
	if !ok {
		body = content.Section(m.Body, 0, m.Body.Size())
	}
	shift := m.Content().Size() - body.Size() // of the body within the content
	var pieces []*content.Content
	at := int64(0)
	for _, f := range found {
		p := parts[f.part]
		start, end := p.Start-shift, p.End-shift
		if start < at { // within one that is gone already
			continue
		}
		pieces = append(pieces, body.Slice(at, start-at), content.Of([]byte("Content-Type: text/plain; charset=us-ascii\r\n\r\n"+a.notice(f.name))))
		at = end
	}
	m.Body = content.Join(append(pieces, body.Slice(at, body.Size()-at))...)
	return nil
}

// stripAll is for a message that is nothing but the attachment.
func (a *Attachments) stripAll(m *smtpserver.Message, name string) error {
	m.Header.Delete(func(f smtpserver.Field) bool {
		n := strings.ToLower(f.Name())
		return strings.HasPrefix(n, "content-")
	})
	if err := m.Header.Append("Content-Type: text/plain; charset=us-ascii\r\n"); err != nil {
		return err
	}
	m.Body = content.Of([]byte(a.notice(name)))
	return nil
}

func (a *Attachments) notice(name string) string {
	n := a.Notice
	if n == "" {
		n = defaultNotice
	}
	n = strings.ReplaceAll(n, "%s", ascii(name))
	n = strings.ReplaceAll(strings.ReplaceAll(n, "\r", ""), "\n", "\r\n")
	return strings.TrimSuffix(n, "\r\n") + "\r\n"
}
