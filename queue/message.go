package queue

import (
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/envelope"
)

// Content has the bytes of a message: header, blank line and body, with CRLF
// line ends and without dot-stuffing. It can be read any number of times, and
// by several goroutines at once.
//
//	type Content interface {
//		io.ReaderAt
//		io.WriterTo  // writes all of the content, each time from the first byte
//		Size() int64 // in bytes
//	}
type Content = envelope.Content

// MessageOptions are the attributes of a message that apply to all recipients:
//
//	type MessageOptions struct {
//		smtp.MailOptions // the parameters of MAIL: Body, UTF8, RequireTLS, Return, EnvelopeID, ...
//		Priority int
//		Release  time.Time
//		Labels   map[string]string
//	}
//
// The fields:
//
//   - Priority, the MT-PRIORITY (RFC 6710), from -9 to 9. Higher priorities are
//     delivered first. 0 is normal.
//   - Release, the earliest time of the first attempt (FUTURERELEASE, RFC 4865).
//     Retry and expiry count from it if it is later than Received. Zero means
//     that the first attempt is made at once.
//   - Labels, a small map with data of the application, for example the tenant
//     and the campaign of the message. They are stored with the message and are
//     in an [Event] and in [MessageInfo]. Hooks and the [Deliverer] can use them.
//     They are never sent, and reports about the message do not have them. A
//     message has at most 32 labels of 4 KiB in all. A key has 1 to 64 ASCII
//     letters, digits, '-', '_', '.' and '/'. A value has at most 256 bytes of
//     UTF-8 without control characters. The method SetLabel sets one.
type MessageOptions = envelope.Options

// RcptOptions are the attributes of one recipient.
//
//	type RcptOptions struct {
//		smtp.RcptOptions // the parameters of RCPT: Notify, OriginalRecipient, DeliverBy, ...
//	}
type RcptOptions = envelope.RcptOptions

// Bytes returns a Content that consists of the chunks. The chunks must not
// change afterwards.
func Bytes(chunks ...[]byte) Content { return content.Of(chunks...) }

// String returns a Content with the bytes of s.
func String(s string) Content { return content.Of([]byte(s)) }

// InMemory returns the bytes of c without copying them, and true, if c is in
// memory: it was made by [Bytes] or [String], or of parts of such contents. The
// chunks must not be changed. InMemory returns false if any part of c is
// elsewhere, for example in a file, and for a Content of another kind.
//
// A [Store] uses it in Put: content in memory can be kept as it is, and stays
// readable after the message and the store are gone. All other content must be
// read before Put returns.
func InMemory(c Content) (chunks [][]byte, ok bool) {
	cc, ok := c.(*content.Content)
	if !ok || !cc.InMemory() {
		return nil, false
	}
	for _, p := range cc.Parts() {
		chunks = append(chunks, p.Bytes)
	}
	return chunks, true
}

// A Message is an envelope, its content and the state of its delivery.
//
// The caller of Submit sets the envelope, the content and, as far as known,
// the origin. The Queue sets the rest.
type Message struct {
	// ID identifies the message in its store. It has 1 to 64 ASCII letters,
	// digits, '-', '_' and '.'. If it is empty, Submit sets it.
	ID string
	// From is the reverse-path. If it is empty (the null reverse-path), no
	// report is sent about the message.
	From       string
	Options    MessageOptions
	Recipients []*Recipient
	// Content is the header and body. When the Queue passes a message to a
	// function, Content is not nil. It can be read until that function returns.
	Content Content

	// Received is when the message was accepted. Zero means now. Retry and
	// expiry count from it.
	Received time.Time
	// Origin has the source of the message.
	Origin Origin
	// System is true for messages of the Queue itself: delivery status
	// notifications.
	System bool
	// Interrupted is how many times in a row the process died while the
	// message was in delivery. A Store that is a [DeliveryJournal] counts
	// this. The Queue resets it to 0 when an attempt has ended and the process
	// still runs.
	Interrupted int

	// submitted points to the Message itself after Submit has accepted it. A
	// copy of the Message is another Message and can be submitted.
	submitted *Message
}

// Origin has the source of a message. Each field may be empty.
type Origin struct {
	Connector  string // the receive connector's name, "pickup", "dsn", ...
	ClientAddr string // the client's IP address
	ClientHelo string // the client's name in HELO, EHLO or LHLO
	Identity   string // the authenticated identity of the client
	Protocol   string // SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA, LMTP, ...
	ServerAddr string // the IP address of this relay that the client connected to
	// Internal is true if the client belongs to the organization: it has logged
	// in, or may send to recipients outside the accepted domains.
	Internal bool
}

// Status is the state of a recipient.
type Status uint8

const (
	Waiting   Status = iota // not delivered yet; there will be an attempt
	Delivered               // the next hop has accepted the message
	Failed                  // refused permanently; the sender got a report if one was due
	Expired                 // the queue lifetime is over; the sender got a report if one was due
	Removed                 // removed by an operator
	Expanded                // replaced by the members of a list, which are now recipients
)

// A Recipient is one forward-path of a message, with its delivery state.
type Recipient struct {
	Addr    string
	Options RcptOptions
	// Route, if not zero, is the next hop of this recipient. The Queue then
	// does not call the Deliverer's Route. A hook or an operator sets it.
	Route NextHop

	// The Queue sets the following fields.
	Status   Status
	Notified bool // the sender got a delay notice, or the success report that was due
	// Acknowledged is true if [Queue.FinalResults] has accepted the final
	// result. ResultTries is how many calls of it have failed.
	Acknowledged bool
	ResultTries  int

	Attempts    int       // delivery attempts so far
	NextAttempt time.Time // when the next attempt is due
	// RetryWait is the wait that ends at NextAttempt. If it is zero,
	// NextAttempt is the Release of the message. Otherwise NextAttempt is a
	// time of the Queue's own clock, like Schedule.Due. In a [MessageInfo],
	// NextAttempt is a time of the wall clock.
	RetryWait   time.Duration
	Last        Result // the result of the last attempt
	LastAttempt time.Time
}

// Rcpt returns a recipient without options for each address.
func Rcpt(addrs ...string) []*Recipient {
	rs := make([]*Recipient, len(addrs))
	for i, a := range addrs {
		rs[i] = &Recipient{Addr: a}
	}
	return rs
}

// ValidID returns an error that describes what is wrong with a message ID. It
// returns nil for a valid one: see [Message].
func ValidID(id string) error {
	if id == "" || len(id) > 64 {
		return fmt.Errorf("queue: message ID has %d bytes, not 1 to 64", len(id))
	}
	for i := range len(id) {
		c := id[i]
		if c-'0' > 9 && c|0x20-'a' > 25 && c != '-' && c != '_' && c != '.' {
			return fmt.Errorf("queue: message ID contains byte %q", c)
		}
	}
	return nil
}
