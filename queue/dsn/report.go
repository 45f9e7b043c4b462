package dsn

import (
	"io"
	"time"

	"github.com/emersion/go-smtp"
)

// A Report tells the sender of one message what became of some of its
// recipients. To and ReportingMTA and at least one of Recipients must be set.
type Report struct {
	// From is the address in the From header field. Default
	// postmaster@ReportingMTA. (The envelope's reverse-path is to be the null
	// one, RFC 3461, 6.)
	From string
	// To is whom the report goes to: the message's reverse-path.
	To string
	// Date of the report. Default now.
	Date time.Time
	// MessageID of the report, without angle brackets. Default a random one
	// at ReportingMTA.
	MessageID string

	// ReportingMTA is the host that reports.
	ReportingMTA string
	// ReceivedFrom is the host that the message came from, where it is known.
	ReceivedFrom string
	// EnvelopeID is the ENVID of the message (RFC 3461, 4.4), decoded.
	EnvelopeID string
	// Arrival is when the reporting host took the message over.
	Arrival time.Time

	Recipients []Recipient

	// Original is the message that is reported about; may be nil.
	Original Content
	// Headers encloses only the original's header. So does a message longer
	// than MaxOriginal bytes (default 50 KiB, as Postfix), and one with bytes
	// that only BINARYMIME can carry.
	Headers     bool
	MaxOriginal int64
	// UTF8 uses the forms of RFC 6533 for UTF-8 in header fields, addresses
	// and replies; the report then needs SMTPUTF8. Without it, all of the
	// report is ASCII but for an original that is enclosed whole.
	UTF8 bool

	// TLSOptional adds the field "TLS-Required: No" (RFC 8689, 3).
	TLSOptional bool

	// Texts are the words for people. Default [English].
	Texts *Texts
	// Subject and Text are the Subject field and the part for people. Default:
	// made of Texts.
	Subject, Text string
}

// Content is a message's bytes; queue.Content is the same.
type Content interface {
	io.ReaderAt
	io.WriterTo
	Size() int64
}

// A Recipient is what a report says of one recipient.
type Recipient struct {
	// Original is the address as the sender gave it (ORCPT), and OriginalType
	// its type. Empty where the sender gave none. Default type RFC822.
	Original     string
	OriginalType smtp.DSNAddressType
	// Final is the address that was tried.
	Final string

	Action Action
	Status smtp.EnhancedCode
	// RemoteMTA is the host that said Diagnostic; both are empty where none
	// replied.
	RemoteMTA string
	// Diagnostic is the SMTP reply, as "550 5.1.1 No such user".
	Diagnostic string
	// Reason is the cause where no remote host replied. Its Diagnostic-Code is
	// of the type X-Bridgehead.
	Reason string
	// LastAttempt is when it was last tried, and RetryUntil until when it will
	// be, where Action is Delayed.
	LastAttempt time.Time
	RetryUntil  time.Time
}

// Action is what became of a recipient (RFC 3464, 2.3.3).
type Action string

const (
	Failed    Action = "failed"
	Delayed   Action = "delayed"
	Delivered Action = "delivered"
	Relayed   Action = "relayed"
	Expanded  Action = "expanded"
)
