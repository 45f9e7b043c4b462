package smtpclient

import (
	"io"

	"github.com/emersion/go-smtp"
)

// Content is a message's bytes: header, blank line, body, with CRLF line ends
// and without dot-stuffing. It may be read as often as one likes and by
// several goroutines at once.
type Content interface {
	io.ReaderAt
	io.WriterTo // from the first byte, each time
	Size() int64
}

// A Message is what Send sends: an envelope and its content.
type Message struct {
	// ID names the message in logs; may be empty.
	ID string
	// From is the reverse-path, empty for the null one.
	From string
	// Options of the MAIL command. Each goes out only when the host announced
	// the extension. The message's demands are kept: RequireTLS and UTF8 fail
	// a message that the host has no extension for. (A report with RequireTLS
	// and the header field "TLS-Required: No" goes on without REQUIRETLS: see
	// RFC 8689, 5.) Size is set from Content.
	Options    smtp.MailOptions
	Recipients []Recipient
	Content    Content

	// Priority is the MT-PRIORITY (RFC 6710), -9 to 9; 0 is normal.
	Priority int
	// DeliverBy is the deadline (RFC 2852) as it stands now; may be nil.
	DeliverBy *smtp.DeliverByOptions
}

// A Recipient is one forward-path.
type Recipient struct {
	Addr    string
	Options smtp.RcptOptions
}
