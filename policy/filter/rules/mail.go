package rules

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
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
	parts        []mimetree.Part
	text         []byte // if textRead; part of buffers.body
	textRead     bool
	subject      [][]byte // if subjectsRead
	subjectsRead bool
	addresses    []string // see recipients
	*buffers
}

// buffers are the memory for the text of a message. It is used again for other
// messages.
type buffers struct{ body, lower []byte }

var pool = sync.Pool{New: func() any { return new(buffers) }}

// maxPooled is the size of a text whose memory is used again.
const maxPooled = 256 << 10

// newMail returns a Mail. Call release after the last use of it.
func newMail(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message, allowAmbiguous bool) *Mail {
	return &Mail{Session: s, Message: m, ctx: ctx, allowAmbiguous: allowAmbiguous, buffers: pool.Get().(*buffers)}
}

func (m *Mail) release() {
	m.changed()
	if b := m.buffers; cap(b.body) <= maxPooled && cap(b.lower) <= maxPooled {
		pool.Put(b)
	}
	m.buffers = new(buffers)
}

// has reports whether text contains one of the words.
func (m *Mail) has(text []byte, ws words) (found bool) {
	found, m.lower = ws.in(text, m.lower)
	return found
}

// changed clears the cache, after an action that may have changed the message.
func (m *Mail) changed() {
	m.parts, m.text, m.textRead, m.subject, m.subjectsRead, m.addresses = nil, nil, false, nil, false, nil
}

// recipients returns the addresses of all recipients. The result must not be
// changed.
func (m *Mail) recipients() []string {
	if m.addresses == nil {
		m.addresses = make([]string, len(m.Message.Recipients))
		for i := range m.addresses {
			m.addresses[i] = m.Message.Recipients[i].Addr
		}
	}
	return m.addresses
}

// subjects returns the values of all Subject fields, with encoded-words decoded.
func (m *Mail) subjects() [][]byte {
	if !m.subjectsRead {
		for _, v := range m.Message.Header.Values("Subject") {
			m.subject = append(m.subject, []byte(mimetree.DecodeWords(v)))
		}
		m.subjectsRead = true
	}
	return m.subject
}

func (m *Mail) tree() ([]mimetree.Part, error) {
	var err error
	if m.parts == nil {
		m.parts, err = transaction.Parts(m.Session, m.Message)
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
	text, err := m.readText()
	return string(text), err
}

func (m *Mail) readText() ([]byte, error) {
	parts, err := m.tree()
	if err != nil {
		return nil, err
	}
	if !m.textRead {
		m.body = textOf(m.body[:0], m.Message.Content(), parts)
		m.text, m.textRead = m.body, true
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
			return m.text, err
		}
	}
	return m.text, nil
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

// textOf appends the text of all text parts to b.
func textOf(b []byte, c smtpserver.Content, parts []mimetree.Part) []byte {
	for i := range parts {
		if !isText(&parts[i]) {
			continue
		}
		if b = appendPart(b, c, &parts[i]); len(b) >= maxText {
			break
		}
		b = append(b, '\n')
	}
	return b
}

// appendPart appends the text of a part to b, up to maxText bytes. If the text is
// damaged, it appends the part before the damage.
func appendPart(b []byte, c smtpserver.Content, p *mimetree.Part) []byte {
	at := len(b)
	b = slices.Grow(b, int(min(p.End-p.Body, maxText-int64(at)))+1)
	b = appendAll(b, p.Open(c))
	charset := p.Param("charset")
	if isUTF8(charset, b[at:]) {
		return b
	}
	if u, err := mimetree.CharsetReader(charset, p.Open(c)); err == nil {
		b = appendAll(b[:at], u)
	}
	return b
}

// isUTF8 reports whether CharsetReader would not change the text.
func isUTF8(charset string, text []byte) bool {
	switch strings.ToLower(charset) {
	case "utf-8":
		return utf8.Valid(text) && !bytes.HasPrefix(text, []byte("\ufeff"))
	case "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252":
		return !slices.ContainsFunc(text, func(c byte) bool { return c >= utf8.RuneSelf })
	}
	return false
}

// appendAll appends what r returns before an error, up to maxText bytes in total.
func appendAll(b []byte, r io.Reader) []byte {
	for len(b) < maxText {
		if len(b) == cap(b) {
			b = slices.Grow(b, 1)
		}
		n, err := r.Read(b[len(b):min(cap(b), maxText)])
		b = b[:len(b)+n]
		if err != nil {
			break
		}
	}
	return b
}
