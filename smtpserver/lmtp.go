package smtpserver

import (
	"errors"
	"fmt"
)

// RecipientErrors is the error of a Handler that answers for each recipient
// of an LMTP message by itself (RFC 2033): one entry for each, in their order,
// nil for those whose message is safe. With SMTP, which has one reply for all,
// the first entry that is not nil is that reply: nothing may then have been
// taken over. It is so too where agents have changed the number of recipients.
type RecipientErrors []error

// Error counts the recipients that were refused.
func (e RecipientErrors) Error() string {
	n := 0
	for _, err := range e {
		if err != nil {
			n++
		}
	}
	return fmt.Sprintf("smtpserver: %d of %d recipients refused", n, len(e))
}

// Unwrap lets errors.As find the first refusal.
func (e RecipientErrors) Unwrap() []error {
	var errs []error
	for _, err := range e {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// oneByOne returns a Handler's RecipientErrors where they can be told to the
// client one by one, because the recipients are as many as the client named.
func (s *Session) oneByOne(m *Message, err error) RecipientErrors {
	var each RecipientErrors
	if !s.srv.LMTP || !errors.As(err, &each) || len(each) != len(m.Recipients) || len(each) != s.accepted {
		return nil
	}
	return each
}

// some says whether the message is safe for one recipient at least.
func (e RecipientErrors) some() bool {
	for _, err := range e {
		if err == nil {
			return true
		}
	}
	return false
}
