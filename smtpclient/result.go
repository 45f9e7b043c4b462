package smtpclient

import "github.com/emersion/go-smtp"

// Outcome is what an attempt came to for one recipient.
type Outcome uint8

const (
	// Deferred: this recipient may be tried again later; the host works.
	Deferred Outcome = iota
	// Success: the host answered 2xx to the end of data.
	Success
	// Failure: the host, or a rule on our side, refused for good.
	Failure
	// Unreachable: no host could be spoken with at all (no connection, no
	// greeting, EHLO or AUTH refused, no TLS as the policy asks for). It says
	// nothing about the message.
	Unreachable
)

// String is "deferred", "success", "failure" or "unreachable".
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "unknown"
}

var outcomeNames = [...]string{"deferred", "success", "failure", "unreachable"}

// A Result is the result of an attempt for one recipient. It repeats fields of
// queue.Result, because this package does not import queue.
type Result struct {
	Outcome Outcome
	// Reply is the host's reply, or one of our own making where no host
	// spoke (Host is then empty).
	Reply smtp.SMTPError
	// Host is the name of the host that replied, and Addr its IP address and
	// port, or socket.
	Host string
	Addr string
	// TLS describes the connection, as "TLS1.3 TLS_AES_128_GCM_SHA256"; empty
	// for plain text.
	TLS string
	// DSN tells that the host announced DSN (RFC 3461): it has taken over the
	// duty to report.
	DSN bool
	// Err is the cause in Go's terms: a *TLSError, *ProtocolError, net.Error,
	// context error, ...; may be nil.
	Err error
}
