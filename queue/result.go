package queue

import (
	"errors"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/envelope"
)

// Outcome is the outcome of an attempt for one recipient. Its text is "deferred",
// "success", "failure", "unreachable" or "busy".
type Outcome = envelope.Outcome

const (
	// Deferred is a temporary failure for this recipient. The next hop works.
	Deferred = envelope.Deferred
	// Success means that the next hop replied 2xx to the end of data.
	Success = envelope.Success
	// Failure is a permanent refusal by the next hop or by a local rule.
	Failure = envelope.Failure
	// Unreachable means that no session with the next hop was possible: no
	// connection, no greeting, no TLS although the policy requires it, or no
	// DNS. The cause is not the message. All mail for the hop waits.
	Unreachable = envelope.Unreachable
	// Busy means that no attempt was made, because other attempts use all
	// connections that are allowed to the host at Addr. The recipient is tried
	// again when one of them has ended. Deliver returns Busy and does not wait
	// for a free connection, because the wait would take a delivery slot from
	// other mail.
	Busy = envelope.Busy
)

// A Result is the result of one attempt for one recipient. [Done], [Defer] and
// [Fail] return the usual ones.
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
//   - Reply is the reply of the remote host. If no host replied, Host is empty and
//     Reply is made locally.
//   - Host is the name of the host that replied.
//   - Addr is the address that the attempt used last (IP address and port, or
//     the path of a socket), even if no host replied. Next hops with the same
//     address share the limits of one next hop.
//   - TLS is a description of the connection, for example "TLS1.3
//     TLS_AES_128_GCM_SHA256". It is empty for plain text.
//   - DSN is true if the host announced DSN (RFC 3461). The host is then
//     responsible for reports, and the Queue sends no "relayed" report.
//   - Final is true if the host has put the message into the recipient's mailbox
//     (LMTP). A success is then reported as delivered, not as relayed.
//   - Err is the cause as a Go error, for logs. It may be nil. If it wraps
//     ErrDamaged, the content could not be read, and the recipient fails unless
//     Outcome is Success. JSON has its text, and so may a [Store].
type Result = envelope.Result

// Done returns the result of a [Deliverer] for a recipient that has the message.
// If the Deliverer is the last one that handles the message, because it has put
// it into a mailbox or a database, it also sets Final.
func Done() Result {
	return Result{Outcome: Success, Reply: smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok"}}
}

// Defer returns the result of a [Deliverer] for a temporary failure: the
// recipient waits for the next attempt.
//
// If err is or wraps a *smtp.SMTPError, Reply is that error. If its code is not
// 4xx, Reply has the code 451, and 4 as the class of the enhanced code. For any
// other error, Reply is 451 4.3.0 with the text of err. For a nil err, Reply has
// a general text. Err is err. Delay notices and failure reports contain the text
// of Reply, so it must not contain a secret.
func Defer(err error) Result {
	return Result{Outcome: Deferred, Reply: replyOf(err, smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Temporary failure of the delivery"}), Err: err}
}

// Fail returns the result of a [Deliverer] for a permanent failure: there is no
// other attempt, and the sender gets a failure report.
//
// If err is or wraps a *smtp.SMTPError, Reply is that error. If its code is not
// 5xx, Reply has the code 550, and 5 as the class of the enhanced code. For any
// other error, Reply is 554 5.3.0 with the text of err. For a nil err, Reply has
// a general text. Err is err. The failure report contains the text of Reply.
func Fail(err error) Result {
	return Result{Outcome: Failure, Reply: replyOf(err, smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 3, 0}, Message: "The delivery failed"}), Err: err}
}

// replyOf returns the reply for err in the class of otherwise, which is the reply
// for a nil err and has the codes for an err that is no reply.
func replyOf(err error, otherwise smtp.SMTPError) smtp.SMTPError {
	if err == nil {
		return otherwise
	}
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) || reply == nil {
		otherwise.Message = err.Error()
		return otherwise
	}
	r, class := *reply, otherwise.Code/100
	if r.Code/100 != class {
		// Other codes have a different meaning in the other class.
		if r.Code = 451; class == 5 {
			r.Code = 550
		}
	}
	if r.EnhancedCode[0] > 0 {
		r.EnhancedCode[0] = class
	} else {
		r.EnhancedCode = smtp.EnhancedCode{class, 0, 0}
	}
	return r
}
