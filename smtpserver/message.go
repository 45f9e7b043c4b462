package smtpserver

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// Content is a message's bytes, or a part of them, with CRLF line ends and
// without dot-stuffing. It may be read as often as one likes, by several
// goroutines at once, for as long as the Message's taker keeps it.
type Content interface {
	io.ReaderAt
	io.WriterTo // from the first byte, each time
	Size() int64
}

// A Recipient is one forward-path that was accepted at RCPT.
type Recipient struct {
	Addr    string // user@example.org, as it stood on the wire
	Options smtp.RcptOptions
	// Params are the parameters that an Agent's RcptParams asked for.
	Params map[string]string
}

// A Message is the envelope and the content of one mail transaction. Agents
// may change all of it until the Handler has it.
//
// Content beyond Limits.MemoryContent is in a file. The server closes that
// file when the message is refused, discarded or broken off. Once the Handler
// has returned nil, message and file are the Handler's: it calls Close when
// it is done with the content. (A file that nobody refers to any more is
// closed by the garbage collector, later.)
type Message struct {
	// ID names the message in replies, trace fields and logs: unique for
	// this process and unlikely to come again in another.
	ID string
	// From is the reverse-path, empty for the null one.
	From    string
	Options smtp.MailOptions
	// Release is the time until which the client wants the message held
	// back (FUTURERELEASE, RFC 4865); zero for none.
	Release time.Time
	// Params are the parameters that an Agent's MailParams asked for.
	Params map[string]string
	// Recipients are the accepted forward-paths, in the client's order.
	Recipients []Recipient
	// Received is when the end of data was seen.
	Received time.Time
	// Header is the header section, byte for byte as it came (but see Content)
	// and editable.
	Header Header
	// Body is all that follows the header, the blank line between them not
	// included. Nil before the end of data.
	Body Content

	blank []byte   // the blank line after Header; empty if nothing follows
	file  *os.File // where the body is, beyond Limits.MemoryContent

	// DELIVERBY and MT-PRIORITY are parameters of MAIL, but go-smtp has their
	// fields on the recipients: kept here for those to come.
	deliverBy *smtp.DeliverByOptions
	priority  *int
}

// Content is header, blank line and body as they now are, sharing their
// memory and file: what is to be stored or sent on. If nothing was edited, these
// are the bytes that came in, except for a header that programs could read in
// different ways. There the server inserts what is missing, as Postfix does:
//
//   - the blank line after the header, which ends at the first line that is
//     not a field;
//   - "X-Mailbox-Line: " before a first line that begins with "From " or
//     ">From ", as it is in a mailbox file;
//   - the line end of the last field, if the content ends with it.
func (m *Message) Content() Content { return m.content() }

func (m *Message) content() *content.Content {
	parts := make([][]byte, 0, len(m.Header.blocks)+1)
	parts = append(parts, m.Header.blocks...)
	switch {
	case len(m.blank) > 0:
		parts = append(parts, m.blank)
	case m.Body != nil && m.Body.Size() > 0:
		parts = append(parts, crlf)
	}
	c := content.Of(parts...)
	switch b := m.Body.(type) {
	case nil:
		return c
	case *content.Content:
		return content.Join(c, b)
	default:
		return content.Join(c, content.Section(b, 0, b.Size()))
	}
}

// SetContent replaces header and body by those of c, which must have CRLF
// line ends and not change afterwards. Of c only the header is read, which may
// have up to 256 KiB. It ends where it does in a message that is received.
func (m *Message) SetContent(c Content) error {
	head := make([]byte, min(c.Size(), defaultHeaderSize))
	if _, err := c.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	whole, ok := c.(*content.Content)
	if !ok {
		whole = content.Section(c, 0, c.Size())
	}
	var sc header.Scanner
	if !sc.Scan(head, int64(len(head)) == c.Size()) {
		return errors.New("smtpserver: header is longer than 256 KiB")
	}
	m.setHeader(&sc, head)
	skip := int64(sc.End + sc.Blank)
	m.Body = whole.Slice(skip, whole.Size()-skip)
	return nil
}

// setHeader takes the header section that sc has found in content.
func (m *Message) setHeader(sc *header.Scanner, content []byte) {
	m.Header = Header{}
	if raw := sc.Section(content); len(raw) > 0 {
		m.Header.blocks = [][]byte{raw}
	}
	m.blank = content[sc.End : sc.End+sc.Blank]
	if sc.Bare {
		m.blank = crlf
	}
}

var crlf = []byte("\r\n")

// Close closes the file in which the body is, if it is in one. The content
// cannot be read afterwards.
func (m *Message) Close() error {
	if m.file == nil {
		return nil
	}
	f := m.file
	m.file = nil
	return f.Close()
}
