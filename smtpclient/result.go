package smtpclient

import "github.com/bridgehead-mail/bridgehead/internal/envelope"

// Outcome is the outcome of an attempt for one recipient. Its text is "deferred",
// "success", "failure", "unreachable" or "busy".
type Outcome = envelope.Outcome

const (
	// Deferred means a temporary failure of a host that works. The recipient
	// may be tried again later.
	Deferred = envelope.Deferred
	// Success means that the host replied 2xx to the end of data.
	Success = envelope.Success
	// Failure means a permanent refusal by the host or by this package.
	Failure = envelope.Failure
	// Unreachable means that no session could be opened with any host: no
	// connection, no greeting, EHLO or AUTH refused, or no TLS as the policy
	// requires. It does not depend on the message. The recipient may be tried
	// again later.
	Unreachable = envelope.Unreachable
	// Busy means that no attempt was made, because all sessions that are
	// allowed with the host are in use (see Transport.MaxConnsPerAddr and
	// MaxWait). The recipient may be tried again when one of them is free. Only
	// a message with NoWait has this outcome, or a Transport with a negative
	// MaxWait.
	Busy = envelope.Busy
)

// A Result is the result of an attempt for one recipient.
//
//	type Result struct {
//		Outcome Outcome
//		Reply   smtp.SMTPError
//		Host    string
//		Addr    string
//		TLS     string
//		DSN     bool
//		Final   bool
//		Err     error
//	}
//
// The fields:
//
//   - Reply is the host's reply. If no host replied, Host is empty
//     and Reply is made by this package; see the table in the package
//     documentation.
//   - Host is the name of the host that replied.
//   - Addr is the IP address and port of the host that the attempt used last, or the
//     path of its socket, even if the host did not reply. If the outcome is Busy,
//     it is the address whose sessions are all in use.
//   - TLS is a description of the encryption, as "TLS1.3 TLS_AES_128_GCM_SHA256";
//     empty for plain text.
//   - DSN is true if the host announced DSN (RFC 3461): it is then responsible for
//     delivery status notifications.
//   - Final is true if the outcome is Success and the host has put the message into
//     the recipient's mailbox (LMTP).
//   - Err is the cause as a Go error: a *TLSError, *ProtocolError, net.Error, context
//     error, ... It may be nil.
type Result = envelope.Result
