package rules

import (
	"context"
	"io"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// maxText is how much of a message's text conditions look at, in bytes.
const maxText = 1 << 20

// A Mail is what conditions and actions see: a message as the rules before
// have left it, and its session.
type Mail struct {
	Session *smtpserver.Session
	Message *smtpserver.Message

	ctx          context.Context
	allowUnclear bool // see Rules
	// What was read of the message is kept until an action may have changed it.
	parts []mimetree.Part
	text  *string
}

// changed forgets what was read of the message.
func (m *Mail) changed() { m.parts, m.text = nil, nil }

func (m *Mail) tree() ([]mimetree.Part, error) {
	var err error
	if m.parts == nil {
		m.parts, err = mimetree.Parse(m.Message.Content(), mimetree.Limits{})
	}
	return m.parts, err
}

// Context ends when the session does.
func (m *Mail) Context() context.Context { return m.ctx }

// Subject is the subject, with its encoded-words read; of several the first.
func (m *Mail) Subject() string { return mimetree.DecodeWords(m.Message.Header.Get("Subject")) }

// Size of the message in bytes.
func (m *Mail) Size() int64 { return m.Message.Content().Size() }

// Attachments are the file names in the message, in all readings of each. If
// other programs may find other parts or names in it, the error is a
// *smtp.SMTPError, 550 5.6.0, unless Rules.AllowUnclear is set; the names are
// there nevertheless.
func (m *Mail) Attachments() ([]string, error) {
	parts, err := m.tree()
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range parts {
		names = append(names, parts[i].Names()...)
		if err == nil {
			err = m.unclear(parts[i].UnclearTree())
		}
	}
	return names, err
}

// Text is the text of the message, without transfer encoding and in UTF-8:
// that of all its text parts, HTML with its tags, up to 1 MiB. If other programs
// may find other parts or another text in it, the error is a *smtp.SMTPError, 550
// 5.6.0, unless Rules.AllowUnclear is set; the text is there nevertheless.
func (m *Mail) Text() (string, error) {
	parts, err := m.tree()
	if err != nil {
		return "", err
	}
	if m.text == nil {
		text := textOf(m.Message.Content(), parts)
		m.text = &text
	}
	for i := range parts {
		p := &parts[i]
		u := p.UnclearTree()
		if isText(p) {
			if u = p.Unclear(); u == "" && !readable(p.Param("charset")) {
				u = "charset"
			}
		}
		if err := m.unclear(u); err != nil {
			return *m.text, err
		}
	}
	return *m.text, nil
}

// unclear is the error for what other programs may read differently; nil if that
// is nothing, or allowed.
func (m *Mail) unclear(what string) error {
	if what == "" || m.allowUnclear {
		return nil
	}
	return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Malformed message: unclear " + what}
}

func isText(p *mimetree.Part) bool { return p.Leaf() && strings.HasPrefix(p.Type, "text/") }

func textOf(c smtpserver.Content, parts []mimetree.Part) string {
	var b strings.Builder
	for i := range parts {
		p := &parts[i]
		if !isText(p) {
			continue
		}
		r := p.Open(c)
		if u, err := mimetree.CharsetReader(p.Param("charset"), r); err == nil {
			r = u
		}
		// Text that cannot be decoded to its end is looked at up to there.
		size := min(p.End-p.Body, maxText-int64(b.Len()))
		b.Grow(int(size) + 1)
		io.CopyBuffer(&b, io.LimitReader(r, maxText-int64(b.Len())), make([]byte, min(size+1, 32<<10)))
		if b.Len() >= maxText {
			break
		}
		b.WriteByte('\n')
	}
	return b.String()
}
