package queue

import (
	"errors"

	"github.com/emersion/go-smtp"
)

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
// 4xx, the code is changed to 451. After any other error, Reply is 451 4.3.0 with
// the text of err. Delay notices and bounces to the sender of the message contain
// the text of Reply. Err is err. A nil err gives a general text.
func Defer(err error) Result {
	return Result{Outcome: Deferred, Reply: replyOf(err, smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Temporary failure of the delivery"}), Err: err}
}

// Fail returns the result of a [Deliverer] for a permanent failure: there is no
// other attempt, and the sender gets a bounce. Reply is set as by [Defer], but its
// code is 5xx: 550 instead of another code of an *smtp.SMTPError, and otherwise
// 554 5.3.0.
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
