package content

import (
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const defaultNotice = "The attachment \"%s\" was removed from this message, because attachments of its kind are not allowed here.\r\n"

// strip replaces the parts in found by the notice. Nothing else changes.
func (a *Attachments) strip(m *smtpserver.Message, parts []mimetree.Part, found []finding) error {
	if found[0].part == 0 {
		return a.stripAll(m, found[0].name)
	}
	edits := make([]envelope.Edit, len(found))
	for i, f := range found {
		p := parts[f.part]
		edits[i] = envelope.Edit{Start: p.Start, End: p.End,
			New: []byte("Content-Type: text/plain; charset=us-ascii\r\n\r\n" + a.notice(f.name))}
	}
	envelope.EditBody(m, edits)
	return nil
}

// stripAll strips a message whose only part is the attachment.
func (a *Attachments) stripAll(m *smtpserver.Message, name string) error {
	m.Header.Delete(func(f smtpserver.Field) bool {
		n := strings.ToLower(f.Name())
		return strings.HasPrefix(n, "content-")
	})
	if err := m.Header.Append("Content-Type: text/plain; charset=us-ascii\r\n"); err != nil {
		return err
	}
	return envelope.SetBody(m, content.Of([]byte(a.notice(name))))
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
