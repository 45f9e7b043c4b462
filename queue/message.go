package queue

import (
	"fmt"
	"io"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

// Content is a message's bytes: header, blank line, body, with CRLF line ends
// and without dot-stuffing. It may be read as often as one likes and by
// several goroutines at once.
type Content interface {
	io.ReaderAt
	io.WriterTo // from the first byte, each time
	Size() int64
}

// Bytes makes a Content of chunks of memory that do not change any more.
func Bytes(chunks ...[]byte) Content { return content.Of(chunks...) }

// String makes a Content of a string.
func String(s string) Content { return content.Of([]byte(s)) }

// A Message is an envelope, its content, and what became of it so far.
//
// The submitter fills in the envelope, the content and what it knows of the
// origin; the Queue does the rest.
type Message struct {
	// ID is given by the Queue where it is empty. It is unique in a store and
	// has only letters, digits, '-', '_' and '.'; at most 64 bytes.
	ID string
	// From is the reverse-path, empty for the null one: then no report is
	// ever sent about the message.
	From       string
	Options    smtp.MailOptions
	Recipients []*Recipient
	// Content is what the message says. Of a message that the Queue hands
	// out it is always set and readable until the call it was handed to ends.
	Content Content

	// Received is when the message was taken over; the zero value means now.
	// Retry and expiry count from it.
	Received time.Time
	// Release holds the message back until then (FUTURERELEASE, RFC 4865);
	// retry and expiry then count from it. The zero value holds nothing back.
	Release time.Time
	// Origin is where the message came from.
	Origin Origin
	// Priority is the MT-PRIORITY (RFC 6710) of the message, -9 to 9; higher
	// goes first, 0 is normal.
	Priority int
	// System marks the queue's own messages: delivery status notifications.
	System bool
	// Interrupted counts how often in a row the process died while the message
	// was in its hands: a Store that is a Marker counts, and the Queue sets it
	// back to 0 when attempts have ended with the process alive.
	Interrupted int
}

// Origin says where a message came from. All of it may be empty.
type Origin struct {
	Connector  string // the receive connector's name, "pickup", "dsn", ...
	ClientAddr string // the client's IP address
	ClientHelo string // the name it gave itself
	Identity   string // who it proved to be
	Protocol   string // SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA, LMTP, ...
}

// Status says where a recipient stands.
type Status uint8

const (
	Waiting   Status = iota // not delivered yet, will be tried (again)
	Delivered               // the next hop has taken over responsibility
	Failed                  // refused for good; reported where a report is due
	Expired                 // given up after the retry policy's time; reported likewise
	Removed                 // taken out by an operator
	Expanded                // replaced by the members of a list, which are recipients now
)

// A Recipient is one forward-path of a message and its own fate.
type Recipient struct {
	Addr    string
	Options smtp.RcptOptions
	// Route, when it is not zero, overrides the Deliverer's Route for this
	// recipient: a hook or an operator has decided.
	Route NextHop

	// Set by the Queue.
	Status      Status
	Attempts    int       // delivery attempts that reached the next hop or failed to
	NextAttempt time.Time // when it is due
	Last        Result    // what the last attempt brought
	LastAttempt time.Time
	Notified    bool // of a delay, or of the success where that is to be reported
}

// Rcpt makes recipients without options.
func Rcpt(addrs ...string) []*Recipient {
	rs := make([]*Recipient, len(addrs))
	for i, a := range addrs {
		rs[i] = &Recipient{Addr: a}
	}
	return rs
}

// ValidID says what is wrong with a message ID, nil if it may be one.
func ValidID(id string) error {
	if id == "" || len(id) > 64 {
		return fmt.Errorf("queue: a message ID has 1 to 64 bytes, not %d", len(id))
	}
	for i := range len(id) {
		c := id[i]
		if c-'0' > 9 && c|0x20-'a' > 25 && c != '-' && c != '_' && c != '.' {
			return fmt.Errorf("queue: byte %q in a message ID", c)
		}
	}
	return nil
}
