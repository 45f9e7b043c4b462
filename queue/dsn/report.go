package dsn

import (
	"io"
	"time"

	"github.com/emersion/go-smtp"
)

// A Report is a delivery status notification about one message. It reports to
// the sender what happened to some of the recipients. To, ReportingMTA and at
// least one of Recipients must be set.
type Report struct {
	// From is the address in the From header field. Default
	// postmaster@ReportingMTA. (The reverse-path of the report must be the
	// null reverse-path, RFC 3461, 6.)
	From string
	// To is the address of the report's recipient: the reverse-path of the
	// original.
	To string
	// Date is the time of the report. Default now.
	Date time.Time
	// MessageID is the Message-ID of the report, without angle brackets.
	// By default it is random, with the domain ReportingMTA.
	MessageID string

	// ReportingMTA is the name of the host that reports.
	ReportingMTA string
	// ReceivedFrom is the name of the host that sent the original to the
	// reporting host. It is empty if the name is not known.
	ReceivedFrom string
	// EnvelopeID is the ENVID of the original (RFC 3461, 4.4), decoded.
	EnvelopeID string
	// Arrival is when the reporting host received the original.
	Arrival time.Time

	// Recipients are the recipients that the report is about.
	Recipients []Recipient

	// Original is the message that the report is about. It may be nil.
	Original Content
	// HeaderOnly encloses only the header of the original. The same happens if
	// the original is longer than MaxOriginal, or has bytes that need
	// BINARYMIME.
	HeaderOnly bool
	// MaxOriginal is the maximum size in bytes of an original that is enclosed
	// completely. Default 50 KiB (Postfix, bounce_size_limit).
	MaxOriginal int64
	// UTF8 writes header fields, addresses and replies in UTF-8, in the forms
	// of RFC 6533. The report then needs SMTPUTF8. Without UTF8, the report is
	// ASCII, except for an original that is enclosed completely.
	UTF8 bool

	// TLSOptional adds the field "TLS-Required: No" (RFC 8689, 3).
	TLSOptional bool

	// Texts are the texts for people. Default [English].
	Texts *Texts
	// Subject is the Subject field. Default: made from Texts.
	Subject string
	// Text is the part for people. Default: made from Texts.
	Text string
}

// Content is the bytes of a message. It has the same methods as queue.Content.
type Content interface {
	io.ReaderAt
	io.WriterTo
	Size() int64
}

// A Recipient is the part of a report that is about one recipient.
type Recipient struct {
	// Original is the address in the sender's ORCPT parameter. It is empty if
	// there was no such parameter.
	Original string
	// OriginalType is the type of Original. Default RFC822.
	OriginalType smtp.DSNAddressType
	// Final is the address to which delivery was tried.
	Final string

	// Action is what happened.
	Action Action
	// Status is the enhanced status code (RFC 3463).
	Status smtp.EnhancedCode
	// RemoteMTA is the name of the host that sent Diagnostic. Both are empty if
	// no host replied.
	RemoteMTA string
	// Diagnostic is the SMTP reply, for example "550 5.1.1 No such user".
	Diagnostic string
	// Reason is the cause if no remote host replied. Its Diagnostic-Code has
	// the type X-Bridgehead.
	Reason string
	// LastAttempt is when delivery was last tried.
	LastAttempt time.Time
	// RetryUntil is when the attempts end, if Action is Delayed.
	RetryUntil time.Time
}

// An Action is what happened to a recipient (RFC 3464, 2.3.3).
type Action string

// The actions of RFC 3464, 2.3.3.
const (
	Failed    Action = "failed"    // delivery failed; there are no more attempts
	Delayed   Action = "delayed"   // not delivered yet; the attempts go on
	Delivered Action = "delivered" // delivered to the mailbox
	Relayed   Action = "relayed"   // sent to a host that does not report delivery
	Expanded  Action = "expanded"  // delivered to a mailing list, which sends it on
)
