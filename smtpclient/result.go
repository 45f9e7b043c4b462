package smtpclient

import "github.com/emersion/go-smtp"

// Outcome is the outcome of an attempt for one recipient.
type Outcome uint8

const (
	// Deferred means a temporary failure of a host that works. The recipient
	// may be tried again later.
	Deferred Outcome = iota
	// Success means that the host replied 2xx to the end of data.
	Success
	// Failure means a permanent refusal by the host or by this package.
	Failure
	// Unreachable means that no session could be opened with any host: no
	// connection, no greeting, EHLO or AUTH refused, or no TLS as the policy
	// requires. It does not depend on the message. The recipient may be tried
	// again later.
	Unreachable
	// Busy means that no attempt was made, because all sessions that are
	// allowed with the host are in use (see Transport.MaxConnsPerAddr and
	// MaxWait). The recipient may be tried again when one of them is free. Only
	// a message with NoWait has this outcome, or a Transport with a negative
	// MaxWait.
	Busy
)

// String returns "deferred", "success", "failure", "unreachable" or "busy".
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "unknown"
}

var outcomeNames = [...]string{"deferred", "success", "failure", "unreachable", "busy"}

// A Result is the result of an attempt for one recipient. It repeats fields of
// queue.Result, because this package does not import queue.
type Result struct {
	// Outcome of the attempt.
	Outcome Outcome
	// Reply is the host's reply. If no host replied, Host is empty and Reply is
	// made by this package; see the table in the package documentation.
	Reply smtp.SMTPError
	// Host is the name of the host that replied.
	Host string
	// Addr is the IP address and port of the host that the attempt used last, or
	// the path of its socket, even if the host did not reply. If the outcome is
	// Busy, it is the address whose sessions are all in use.
	Addr string
	// TLS describes the encryption, as "TLS1.3 TLS_AES_128_GCM_SHA256"; empty
	// for plain text.
	TLS string
	// DSN is true if the host announced DSN (RFC 3461): it is then responsible
	// for delivery status notifications.
	DSN bool
	// Err is the cause as a Go error: a *TLSError, *ProtocolError, net.Error,
	// context error, ... It may be nil.
	Err error
}
