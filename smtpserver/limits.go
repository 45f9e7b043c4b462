package smtpserver

import (
	"math"
	"net/netip"
	"time"
)

// Limits are limits on everything that a client can make a server do. In every
// field, zero means the default and -1 means no limit. Comments on fields
// describe the exceptions. Server.Validate returns an error for other negative
// numbers, and for limits with which no mail can be received: lines that are
// shorter than RFC 5321, 4.5.3.1 requires, and times below a millisecond, where
// the unit is missing (CommandTimeout: 30 is 30 nanoseconds).
type Limits struct {
	// MessageSize is the size of the largest message in bytes. The server
	// announces it as SIZE. Default 36 MiB (Exchange: MaxMessageSize).
	MessageSize int64
	// HeaderSize is the size of the largest header in bytes. Default 256 KiB
	// (Exchange: MaxHeaderSize).
	HeaderSize int64
	// MemoryContent is how many bytes of one message the server keeps in
	// memory. The server stores the body of a longer message in a file
	// (Server.ContentFile). Default 256 KiB.
	MemoryContent int64
	// TotalMemory is how many bytes of content all sessions together keep in
	// memory while they receive it. If they need more, the server stores even
	// small messages in files. Default 256 MiB.
	TotalMemory int64
	// CommandLine is the longest command line in bytes, with CRLF. Default 2048
	// (Postfix: line_length_limit; RFC 5321, 4.5.3.1.4 requires 512, and more
	// for the parameters of extensions). At least 512 and at most 64 KiB, also
	// without a limit.
	CommandLine int
	// AuthLine is the longest line in bytes, with CRLF, of an AUTH command and
	// of the responses that follow it. Default 12288 (RFC 4954, 4). At least 512
	// and at most 64 KiB, also without a limit.
	AuthLine int
	// TextLine is the longest line of a message in bytes, with CRLF. Default
	// none: lines longer than the 1000 bytes of RFC 5321, 4.5.3.1.6 are common,
	// and Postfix and Exchange relay them. At least 1000.
	TextLine int
	// Recipients is the largest number of recipients of one message. The server
	// refuses further recipients with 452 4.5.3. Default 200 (Exchange:
	// MaxRecipientsPerMessage).
	Recipients int
	// Hops is the largest number of Received fields in a message. If a message
	// contains more, the server assumes a mail loop and refuses the message
	// with 554 5.4.6. Two fields do not count: the field that this server adds,
	// and the top field if the client added it (it contains the name from the
	// client's greeting). Without the second exception, the server would refuse
	// messages that the relay before it, with the same limit, has just
	// accepted. Default 30 (Exchange: MaxHopCount).
	Hops int

	// Connections is the largest number of connections that are open at the
	// same time. Default 5000 (Exchange: MaxInboundConnection).
	Connections int
	// ConnectionsPerAddr is the largest number of open connections from one IP
	// address. Default 20 (Exchange: MaxInboundConnectionPerSource).
	ConnectionsPerAddr int
	// ConnectionsPerNetwork is the largest number of open connections from one
	// network: /24 in IPv4, /64 in IPv6. Default 100, which is five addresses
	// with the default of ConnectionsPerAddr.
	ConnectionsPerNetwork int
	// ConnectionRate is how many connections one address may open in a minute.
	// ConnectionRate, MessageRate and RecipientRate count all addresses of an
	// IPv6 /64 network as one address. Default none (Postfix:
	// smtpd_client_connection_rate_limit).
	ConnectionRate int
	// MessageRate is how many messages one address may send in a minute. The
	// server refuses further messages with 450 4.7.0. Default 600 (Exchange:
	// MessageRateLimit).
	MessageRate int
	// RecipientRate is how many RCPT commands with valid syntax one address may
	// send in a minute. The server refuses further recipients with 450 4.7.0.
	// Default none (Postfix: smtpd_client_recipient_rate_limit).
	RecipientRate int
	// Exempt contains networks to which the five limits by address above do not
	// apply. Default: the loopback networks (Postfix:
	// smtpd_client_event_limit_exceptions, by default its own networks). An
	// empty list that is not nil exempts no client.
	Exempt []netip.Prefix

	// SessionMessages is the largest number of messages in one session.
	// The server refuses further messages with 452 4.5.3. Default none.
	SessionMessages int
	// SessionBytes is how many bytes of content one session may send in all its
	// messages together, by DATA and BDAT. If a message exceeds the limit, the
	// server does not accept it and ends the session with 421. Default none.
	SessionBytes int64
	// ProtocolErrors is how many protocol errors (unknown commands, bad syntax,
	// bad sequence) a client may make in a session. After one more error, the
	// server ends the session with 421. A RCPT with bad syntax does not count.
	// A refused MAIL and the RCPT, DATA and BDAT commands after it count as one
	// error. In one transaction, these two exceptions apply to no more commands
	// than the value of Recipients. Default 5 (Exchange: MaxProtocolErrors).
	ProtocolErrors int
	// UnknownRecipients is how many replies 550 5.1.1 (no such recipient) the
	// server sends without delay in one session. It delays each further such
	// reply by Tarpit. At twice this number, it ends the session with 421.
	// Default 10 (Postfix: smtpd_soft_error_limit and smtpd_hard_error_limit).
	UnknownRecipients int
	// AuthFailures is the number of failed logins after which the server ends
	// the session with 421. The server delays the reply to each failed login by
	// Tarpit. Default 3 (Exchange: MaxLogonFailures).
	AuthFailures int
	// Tarpit is how long the server delays a reply to an unknown recipient (see
	// UnknownRecipients) or to a failed login. Default 5 s (Exchange:
	// TarpitInterval). A negative value means no delay.
	Tarpit time.Duration

	// CommandTimeout is how long the server waits for the next command, for the
	// rest of a command line, and for the client to read replies. Default 5 min
	// (RFC 5321, 4.5.3.2.7).
	CommandTimeout time.Duration
	// DataTimeout is how long the server waits for the next part of a message.
	// Default 3 min (RFC 5321, 4.5.3.2.5).
	DataTimeout time.Duration
	// DataRate is the slowest rate in bytes per second at which a client may
	// send a message. The whole message, with the time between its BDAT chunks,
	// may take DataTimeout plus one second for every DataRate bytes received.
	// Default 500 (Postfix: smtpd_min_data_rate).
	DataRate int
	// HandshakeTimeout is how long a TLS handshake or a PROXY header may take.
	// Default 1 min.
	HandshakeTimeout time.Duration
	// SessionTimeout is how long a whole session may take. After this time, the
	// server finishes the current command or message and ends the session with
	// 421. Default none, because an open connection is cheap.
	SessionTimeout time.Duration

	// OverloadPercent is a percentage of Connections. While at least so many
	// connections are open, each wait for a client ends after 10 s: the waits
	// for a command, content, a TLS handshake, a PROXY header and a response to
	// an AUTH challenge, and the wait until the client reads replies. BannerDelay
	// lasts at most 10 s, and Tarpit at most 1 s. The server ends a session at
	// the second protocol error (Postfix: stress-adaptive behavior).
	//
	// If all Connections are open and one more client connects, the server ends
	// slow sessions with 421 4.3.2: one for each client that found no free
	// connection, the slowest first. A session is slow if the server has waited
	// for its client 10 s longer than its input allows. Content allows the time
	// that it takes at DataRate (500 bytes per second if there is no limit). A
	// command that advances the transaction allows 2 s. A session whose client
	// keeps to this rate continues.
	//
	// Default 90. A value of 100 or more and a negative value mean never.
	OverloadPercent int
}

const (
	defaultHeaderSize = 256 << 10
	defaultDataRate   = 500

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
	set(&l.SessionMessages, noLimitInt, noLimitInt)
	set(&l.SessionBytes, noLimit, noLimit)
	set(&l.ProtocolErrors, 5, noLimitInt)
	set(&l.UnknownRecipients, 10, noLimitInt/2)
	set(&l.AuthFailures, 3, noLimitInt)
	set(&l.Tarpit, 5*time.Second, 0)
	set(&l.CommandTimeout, 5*time.Minute, forever)
	set(&l.DataTimeout, 3*time.Minute, forever)
	set(&l.DataRate, defaultDataRate, 0)
	set(&l.HandshakeTimeout, time.Minute, forever)
	set(&l.SessionTimeout, forever, forever)
	set(&l.OverloadPercent, 90, 100)
	// A line must fit into the input buffer.
	l.CommandLine = min(l.CommandLine, inputSize/2)
	l.AuthLine = min(l.AuthLine, inputSize/2)
	return l
}

// set replaces zero with the default, and a negative number with the value that
// means no limit.
func set[T int | int64 | time.Duration](n *T, standard, none T) {
	switch {
	case *n == 0:
		*n = standard
	case *n < 0:
		*n = none
	}
}
