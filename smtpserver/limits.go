package smtpserver

import (
	"math"
	"net/netip"
	"time"
)

// Limits bound everything that a client can make a server do. In every field
// zero means the default, and a negative number no limit, unless the field
// says otherwise.
type Limits struct {
	// MessageSize in bytes, announced as SIZE; a message of exactly this size
	// passes. Default 36 MiB (Exchange: MaxMessageSize).
	MessageSize int64
	// HeaderSize in bytes. Default 256 KiB (Exchange: MaxHeaderSize).
	HeaderSize int64
	// MemoryContent is how much of one message's content is held in memory;
	// longer ones go to the file that Server.Overflow opens. Default 256 KiB.
	MemoryContent int64
	// TotalMemory is how much content all sessions together hold in memory
	// while it comes in. When it is used up, even small messages go to files.
	// Default 256 MiB.
	TotalMemory int64
	// CommandLine in bytes, with its CRLF. Default 2048 (Postfix:
	// line_length_limit; RFC 5321, 4.5.3.1.4 asks for 512 and room for the
	// extensions' parameters).
	CommandLine int
	// AuthLine in bytes bounds AUTH with its initial response and the
	// responses that follow. Default 12288 (RFC 4954, 4).
	AuthLine int
	// TextLine in bytes, with its CRLF, bounds the lines of a message.
	// Default none: longer lines than the 1000 of RFC 5321, 4.5.3.1.6 are in
	// daily use, and Postfix and Exchange relay them.
	TextLine int
	// Recipients of one message; the next are told 452 4.5.3.
	// Default 200 (Exchange: MaxRecipientsPerMessage).
	Recipients int
	// Hops is how many Received fields a message may bring. With more it is
	// taken for one that runs in circles, and refused: 554 5.4.6. The field
	// that this server adds does not count, and neither does one at the top
	// that the client wrote, if it greets with the same name: what a relay
	// with the same limit has just accepted is not sent back to it.
	// Default 30 (Exchange: MaxHopCount).
	Hops int

	// Connections at the same time. Default 5000 (Exchange:
	// MaxInboundConnection).
	Connections int
	// ConnectionsPerAddr from one IP address. Default 20 (Exchange:
	// MaxInboundConnectionPerSource).
	ConnectionsPerAddr int
	// ConnectionsPerNetwork from one network, /24 of IPv4 or /64 of IPv6.
	// Default 100, five such addresses.
	ConnectionsPerNetwork int
	// ConnectionRate is how many connections one address may open in a
	// minute. For this rate and the next two, all addresses of a /64 of IPv6
	// are one. Default none (Postfix: smtpd_client_connection_rate_limit).
	ConnectionRate int
	// MessageRate is how many messages one address may send in a minute.
	// Default 600 (Exchange: MessageRateLimit).
	MessageRate int
	// RecipientRate is how many recipients one address may name in a minute.
	// Default none (Postfix: smtpd_client_recipient_rate_limit).
	RecipientRate int
	// Exempt networks are not bound by the five limits before. Default: the
	// loopback ones (Postfix: smtpd_client_event_limit_exceptions, which are
	// its own networks). An empty list that is not nil exempts nobody.
	Exempt []netip.Prefix

	// Messages in one session. Default none.
	Messages int
	// SessionBytes is how many bytes of content one session may send, in all
	// messages together, by DATA and BDAT. The message that exceeds it is not
	// accepted and ends the session with 421. Default none.
	SessionBytes int64
	// Errors is how many protocol errors (unknown commands, bad syntax, bad
	// sequence) a session may make; one more ends it with 421. Recipients that
	// cannot be read do not count, and neither do the RCPT, DATA and BDAT that
	// follow a refused MAIL (one error together with it), up to Recipients of
	// them in one transaction. Default 5 (Exchange: MaxProtocolErrors).
	Errors int
	// UnknownRecipients is how many recipients may be refused with 550 5.1.1
	// in a session before each further one costs the Tarpit time; at twice
	// that number the session ends with 421. Default 10 (Postfix:
	// smtpd_soft_error_limit and smtpd_hard_error_limit).
	UnknownRecipients int
	// AuthFailures after which the session ends with 421. Each one costs the
	// Tarpit time. Default 3 (Exchange: MaxLogonFailures).
	AuthFailures int
	// Tarpit is how long the replies are held back of which other limits say
	// so. Default 5 s (Exchange: TarpitInterval). Negative means no delay.
	Tarpit time.Duration

	// Command is how long the server waits for the next command, then for the
	// end of its line, and for a client to take its replies. Default 5 min (RFC
	// 5321, 4.5.3.2.7).
	Command time.Duration
	// Data is how long it waits for the next piece of a message. Default
	// 3 min (RFC 5321, 4.5.3.2.5).
	Data time.Duration
	// DataRate in bytes a second: a message may take Data and one second for
	// each so many bytes, no longer, the time between its chunks (BDAT)
	// included. Default 500 (Postfix:
	// smtpd_min_data_rate).
	DataRate int
	// Handshake is how long a TLS handshake or a proxy's header may take.
	// Default 1 min.
	Handshake time.Duration
	// Session is how long a whole session may take; it then ends with 421,
	// after the message in hand. Default none, as a kept connection is cheap.
	Session time.Duration

	// Overload is the percentage of Connections from which on the server
	// saves itself: it waits 10 s for a command instead of Command, and one
	// protocol error ends a session (Postfix: stress-adaptive behaviour).
	// Default 90; 100 or more, or a negative number, means never.
	Overload int
}

const (
	defaultHeaderSize = 256 << 10

	overloadWait   = 10 * time.Second // Postfix: smtpd_timeout under stress
	overloadErrors = 1                // Postfix: smtpd_hard_error_limit under stress

	noLimit    = math.MaxInt64
	noLimitInt = math.MaxInt
	forever    = 100 * 365 * 24 * time.Hour
)

// effective fills in the defaults and turns "no limit" into the largest number.
func (l Limits) effective() Limits {
	set(&l.MessageSize, 36<<20, noLimit)
	set(&l.HeaderSize, defaultHeaderSize, noLimit)
	set(&l.MemoryContent, 256<<10, noLimit)
	set(&l.TotalMemory, 256<<20, noLimit)
	set(&l.CommandLine, 2048, noLimitInt)
	set(&l.AuthLine, 12288, noLimitInt)
	set(&l.TextLine, noLimitInt, noLimitInt)
	set(&l.Recipients, 200, noLimitInt)
	set(&l.Hops, 30, noLimitInt)
	set(&l.Connections, 5000, noLimitInt)
	set(&l.ConnectionsPerAddr, 20, noLimitInt)
	set(&l.ConnectionsPerNetwork, 100, noLimitInt)
	set(&l.ConnectionRate, noLimitInt, noLimitInt)
	set(&l.MessageRate, 600, noLimitInt)
	set(&l.RecipientRate, noLimitInt, noLimitInt)
	if l.Exempt == nil {
		l.Exempt = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	set(&l.Messages, noLimitInt, noLimitInt)
	set(&l.SessionBytes, noLimit, noLimit)
	set(&l.Errors, 5, noLimitInt)
	set(&l.UnknownRecipients, 10, noLimitInt/2)
	set(&l.AuthFailures, 3, noLimitInt)
	set(&l.Tarpit, 5*time.Second, 0)
	set(&l.Command, 5*time.Minute, forever)
	set(&l.Data, 3*time.Minute, forever)
	set(&l.DataRate, 500, 0)
	set(&l.Handshake, time.Minute, forever)
	set(&l.Session, forever, forever)
	set(&l.Overload, 90, 100)
	// Lines must fit into the input buffer.
	l.CommandLine = min(l.CommandLine, inputSize/2)
	l.AuthLine = min(l.AuthLine, inputSize/2)
	return l
}

// set replaces zero by the default, and a negative number by the one that
// stands for no limit.
func set[T int | int64 | time.Duration](n *T, standard, none T) {
	switch {
	case *n == 0:
		*n = standard
	case *n < 0:
		*n = none
	}
}
