package smtpclient

import (
	"context"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/envelope"
)

// Content is the content of a message: header, blank line and body, with CRLF
// line ends and without dot-stuffing. It must be possible to read it many times
// and from several goroutines at the same time. [String], [Bytes] and [File]
// return one.
//
//	type Content interface {
//		io.ReaderAt
//		io.WriterTo  // writes all of the content, each time from the first byte
//		Size() int64 // in bytes
//	}
type Content = envelope.Content

// MessageOptions are the attributes of a message that apply to all recipients.
//
//	type MessageOptions struct {
//		smtp.MailOptions                   // the parameters of MAIL: Body, UTF8, RequireTLS, Return, EnvelopeID, ...
//		Priority         int               // MT-PRIORITY (RFC 6710), -9 to 9; 0 is normal
//		Release          time.Time         // for package queue; not sent
//		Labels           map[string]string // for package queue; not sent
//	}
type MessageOptions = envelope.Options

// RcptOptions are the attributes of one recipient.
//
//	type RcptOptions struct {
//		smtp.RcptOptions // the parameters of RCPT: Notify, OriginalRecipient, ...
//	}
type RcptOptions = envelope.RcptOptions

// A Message is an envelope and its content.
type Message struct {
	// ID identifies the message in logs; it may be empty.
	ID string
	// From is the reverse-path without angle brackets; empty is the null
	// reverse-path.
	From string
	// Options are the parameters of the MAIL command. A parameter is sent only
	// if the host announces its extension. RequireTLS and UTF8 are
	// requirements: if the host does not have the extension, the message fails.
	// There is one exception: a message with UTF8 that does not need SMTPUTF8
	// is sent without it. (A report with RequireTLS and the header field
	// "TLS-Required: No" is sent without REQUIRETLS: RFC 8689, 5.) Size is
	// ignored; the size of Content is sent.
	Options MessageOptions
	// Recipients of the message. Duplicates are sent once.
	Recipients []Recipient
	// Content is required. A *strings.Reader and a *bytes.Reader can be used too.
	// [String], [Bytes] and [File] return one.
	Content Content

	// DeliverBy is the time that is left for the delivery (RFC 2852); nil means
	// no limit.
	DeliverBy *smtp.DeliverByOptions

	// NoWait makes Transport.Send return the outcome Busy at once when all
	// sessions with a host are in use. Without NoWait, Send waits for a
	// session, up to Transport.MaxWait.
	NoWait bool
	// Hurry shortens the timeouts of this message to at most 10 s each: the
	// connection, and each reply and each write until the end of data was sent.
	// The timeout of the reply to the end of data stays as it is.
	Hurry bool

	// Begin, if not nil, is called when a host has been found and the session with it
	// is ready, before each transaction. rcpts are the indices of its recipients in
	// Recipients. host and addr are those of the Result, and tls is the encryption.
	// Begin must not keep or change rcpts. Send waits for it.
	Begin func(rcpts []int, host, addr, tls string)

	// Progress, if not nil, is called when a host has accepted the message for
	// some recipients and Send continues with others: before Send begins another
	// transaction or session, and before it waits for the next reply of an LMTP
	// host. It is not called when Send is about to return. rcpts are the indices
	// of these recipients in Recipients; each recipient is in one call. results
	// has their results at the same indices. Progress must not change or keep
	// the slices. Send waits for it.
	Progress func(rcpts []int, results []Result)

	// MayFinish, if not nil, is called at the last moment before the delivery
	// becomes final: before the final dot, or before the last octet of the last
	// chunk (BDAT). ctx is ReplyContext if that is set, otherwise it is derived from
	// the context of Send. If MayFinish returns an error, Send does not send the
	// end of data and closes the session, so that the host discards the message.
	// The recipients without a result are then Deferred with this error, and no
	// other host is tried. MayFinish must return at once.
	MayFinish func(ctx context.Context) error

	// ReplyContext, if not nil, replaces the context of Send when the end of
	// data is sent. After that, only the end of ReplyContext cancels the
	// delivery. At that time the host may have accepted the message already. If
	// such a delivery is canceled and repeated, the message may be delivered
	// twice.
	ReplyContext context.Context
}

// A Recipient is one forward-path.
type Recipient struct {
	// Addr is the address without angle brackets.
	Addr string
	// Options are the parameters of the RCPT command. A parameter is sent only
	// if the host announces its extension.
	Options RcptOptions
}
