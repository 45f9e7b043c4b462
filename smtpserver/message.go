package smtpserver

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// Content is the content of a message, or a part of it, with CRLF line ends and
// without dot-stuffing. It can be read repeatedly and by several goroutines at
// once, until its Message is closed. io.NewSectionReader(c, 0, c.Size()) makes an
// io.Reader.
//
//	type Content interface {
//		io.ReaderAt
//		io.WriterTo  // writes all of the content, each time from the first byte
//		Size() int64 // in bytes
//	}
type Content = envelope.Content

// MessageOptions are the attributes of a message that apply to all recipients.
// policy.Enqueuer passes them to the queue, which has the same type.
//
//	type MessageOptions struct {
//		smtp.MailOptions                   // the parameters of MAIL: Body, Size, UTF8, RequireTLS, Return, EnvelopeID, ...
//		Priority         int               // MT-PRIORITY (RFC 6710), -9 to 9; 0 is normal
//		Release          time.Time         // the client wants the message to be held until then (FUTURERELEASE, RFC 4865)
//		Labels           map[string]string // data of the application; see queue.MessageOptions
//	}
//
// The method SetLabel(key, value) sets one label.
type MessageOptions = envelope.Options

// RcptOptions are the attributes of one recipient.
//
//	type RcptOptions struct {
//		smtp.RcptOptions // the parameters of RCPT: Notify, OriginalRecipient, ...
//	}
type RcptOptions = envelope.RcptOptions

// A Recipient is a forward-path that was accepted at RCPT.
type Recipient struct {
	Addr    string // user@example.org, as received
	Options RcptOptions
	// Params are the parameters of RCPT that are listed in an Agent's
	// RcptParams.
	Params map[string]string
}

// A Message is the envelope and the content of one mail transaction. Agents may
// change all of it before the Handler gets it.
//
// The body is in a file if the content is larger than Limits.MemoryContent. The
// server closes the file if the message is refused, discarded or not complete.
// After the Handler has returned nil, the Handler owns the message and its
// file, and must call Close when it no longer needs the content. (The garbage
// collector closes a file that is no longer referenced, but later.)
type Message struct {
	// ID identifies the message in replies, trace fields and logs. It is unique
	// in this process, and very probably unique among all processes.
	ID string
	// From is the reverse-path. It is empty for the null reverse-path.
	From string
	// Options are the other attributes of the message. An agent sets a label with
	// m.Options.SetLabel; while it handles MAIL or RCPT, m is Session.Message.
	Options MessageOptions
	// Params are the parameters of MAIL that are listed in an Agent's MailParams.
	Params map[string]string
	// Recipients are the accepted forward-paths, in the order in which the
	// client sent them.
	Recipients []Recipient
	// Received is the time at which the end of data was received.
	Received time.Time
	// Header is the header as received, byte for byte. The method Content
	// describes the exceptions. Agents may change the header.
	Header Header
	// Body is everything after the header and the blank line that ends it. It
	// is nil before the end of data.
	Body Content

	blank []byte   // the blank line after Header; empty if there is none
	file  *os.File // contains the body, beyond Limits.MemoryContent

	// DELIVERBY and MT-PRIORITY are parameters of MAIL, but go-smtp has their
	// fields in the options of a recipient. They are kept here for the
	// recipients that follow. Options.Priority has the same priority.
	deliverBy *smtp.DeliverByOptions
	priority  *int
}

// Content returns header, blank line and body in their current state, without
// copying them. If no agent has changed the message, these are the bytes that
// were received. The only exception is a malformed header, which different
// programs could read in different ways. The server repairs it as Postfix does.
// It adds:
//
//   - the blank line after the header, which ends before the first line that is
//     not a field;
//   - "X-Mailbox-Line: " before a first line that begins with "From " or
//     ">From ", which is the separator of mbox files;
//   - the line end of the last field, if the content ends there.
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

// SetContent replaces header and body with those of c. c must have CRLF line
// ends and must not change afterwards. SetContent finds the end of the header
// in the same way as the server does for a received message. It reads only the
// header, and returns an error if the header is longer than 256 KiB.
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
		return errors.New("smtpserver: the header is longer than 256 KiB")
	}
	m.setHeader(&sc, head)
	skip := int64(sc.End + sc.Blank)
	m.Body = whole.Slice(skip, whole.Size()-skip)
	return nil
}

// setHeader sets the header that sc has found in content.
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

// Close closes the file that contains the body, if there is one. The content
// cannot be read afterwards.
func (m *Message) Close() error {
	if m.file == nil {
		return nil
	}
	f := m.file
	m.file = nil
	return f.Close()
}
