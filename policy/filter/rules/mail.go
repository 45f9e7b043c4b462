package rules

import (
	"context"
	"io"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// maxText is how much of a message's text the conditions read, in bytes.
const maxText = 1 << 20

// A Mail is the argument of conditions and actions: a session, and its message
// with the changes of earlier rules and actions.
type Mail struct {
	Session *smtpserver.Session
	Message *smtpserver.Message

	ctx            context.Context
	allowAmbiguous bool // see Rules
	// A cache of the parsed message. changed clears it.
	parts []mimetree.Part
	text  *string
}

// changed clears the cache, after an action that may have changed the message.
func (m *Mail) changed() { m.parts, m.text = nil, nil }

func (m *Mail) tree() ([]mimetree.Part, error) {
	var err error
	if m.parts == nil {
		m.parts, err = mimetree.Parse(m.Message.Content(), mimetree.Limits{})
	}
	return m.parts, err
}

// Context returns a context that ends with the session.
func (m *Mail) Context() context.Context { return m.ctx }

// Subject returns the value of the first Subject field, with encoded-words
// decoded.
func (m *Mail) Subject() string { return mimetree.DecodeWords(m.Message.Header.Get("Subject")) }

// Size returns the size of the message in bytes.
func (m *Mail) Size() int64 { return m.Message.Content().Size() }

// Attachments returns the file names of the parts of the message. A name that
// programs may decode in different ways gives several results. If other programs
// may find other parts or names, Attachments returns the names and an error: a
// *smtp.SMTPError with 550 5.6.0. With Rules.AllowAmbiguous there is no such error.
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

// Text returns the first 1 MiB of the text of the message: the contents of all
// text parts, decoded and converted to UTF-8. HTML keeps its tags. If other
// programs may find other parts or another text, Text returns the text and an
// error: a *smtp.SMTPError with 550 5.6.0. With Rules.AllowAmbiguous there is no
// such error.
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

// unclear returns the error for a property that other programs may read
// differently, or nil if there is none or AllowAmbiguous is set.
func (m *Mail) unclear(what string) error {
	if what == "" || m.allowAmbiguous {
		return nil
	}
	return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Malformed message: ambiguous " + what}
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
		// If the text is damaged, the part before the damage is used.
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
