package queue_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

func TestResults(t *testing.T) {
	reply := func(code, class, subject, detail int, text string) *smtp.SMTPError {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
	}
	full, unknown := reply(452, 4, 2, 2, "Mailbox full"), reply(550, 5, 1, 1, "User unknown")
	away := errors.New("database is away")
	for _, c := range []struct {
		name    string
		got     queue.Result
		outcome queue.Outcome
		reply   *smtp.SMTPError
		class   queue.Class
	}{
		{"Done", queue.Done(), queue.Success, reply(250, 2, 0, 0, "Ok"), queue.ClassNone},
		{"Defer", queue.Defer(away), queue.Deferred, reply(451, 4, 3, 0, "database is away"), queue.ClassLocal},
		{"Defer, nil", queue.Defer(nil), queue.Deferred, reply(451, 4, 3, 0, "Temporary failure of the delivery"), queue.ClassLocal},
		{"Defer, a reply", queue.Defer(full), queue.Deferred, full, queue.ClassLocal},
		{"Defer, a wrapped reply", queue.Defer(fmt.Errorf("bob: %w", full)), queue.Deferred, full, queue.ClassLocal},
		{"Defer, 5xx", queue.Defer(unknown), queue.Deferred, reply(451, 4, 1, 1, "User unknown"), queue.ClassLocal},
		{"Defer, no codes", queue.Defer(&smtp.SMTPError{Message: "No"}), queue.Deferred, reply(451, 4, 0, 0, "No"), queue.ClassLocal},
		{"Defer, no enhanced code", queue.Defer(&smtp.SMTPError{Code: 421, EnhancedCode: smtp.NoEnhancedCode}), queue.Deferred, reply(421, 4, 0, 0, ""), queue.ClassLocal},
		{"Fail", queue.Fail(away), queue.Failure, reply(554, 5, 3, 0, "database is away"), queue.ClassLocal},
		{"Fail, nil", queue.Fail(nil), queue.Failure, reply(554, 5, 3, 0, "The delivery failed"), queue.ClassLocal},
		{"Fail, a reply", queue.Fail(fmt.Errorf("bob: %w", unknown)), queue.Failure, unknown, queue.ClassLocal},
		{"Fail, 4xx", queue.Fail(full), queue.Failure, reply(550, 5, 2, 2, "Mailbox full"), queue.ClassLocal},
		{"Fail, no refusal", queue.Fail(reply(250, 2, 0, 0, "Ok")), queue.Failure, reply(550, 5, 0, 0, "Ok"), queue.ClassLocal},
		{"Fail, a nil reply", queue.Fail(fmt.Errorf("typed nil: %w", noReply{})), queue.Failure, reply(554, 5, 3, 0, "typed nil: none"), queue.ClassLocal},
	} {
		if r := c.got; r.Outcome != c.outcome || r.Reply != *c.reply || r.Host != "" || r.Class() != c.class {
			t.Errorf("%s: %+v, want %v %v", c.name, r, c.outcome, c.reply)
		}
	}
	for _, r := range []queue.Result{queue.Defer(fmt.Errorf("bob: %w", queue.ErrDamaged)), queue.Fail(fmt.Errorf("bob: %w", queue.ErrDamaged))} {
		if !errors.Is(r.Err, queue.ErrDamaged) {
			t.Errorf("Err is %v", r.Err)
		}
	}
	if unknown.Code != 550 || full.Code != 452 {
		t.Error("the errors of the caller were changed")
	}
}

// noReply is an error that claims to be a reply and has none.
type noReply struct{}

func (noReply) Error() string { return "none" }
func (noReply) As(target any) bool {
	_, ok := target.(**smtp.SMTPError)
	return ok
}
