package smtpserver

import (
	"io"
	"time"

	"github.com/emersion/go-smtp"
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
}

// A Message is the envelope and the content of one mail transaction. Agents
// may change all of it until the Handler has it.
type Message struct {
	// ID names the message in replies, trace fields and logs: unique for
	// this process and unlikely to come again in another.
	ID string
	// From is the reverse-path, empty for the null one.
	From    string
	Options smtp.MailOptions
	// Recipients are the accepted forward-paths, in the client's order.
	Recipients []Recipient
	// Received is when the end of data was seen.
	Received time.Time
	// Header is the header section, byte for byte as it came and editable.
	Header Header
	// Body is all that follows the header, the blank line between them not
	// included. Nil before the end of data.
	Body Content

	// separated tells that a blank line stood between Header and Body.
	separated bool
}
