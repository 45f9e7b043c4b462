package smtpserver

import (
	"errors"
	"fmt"
)

// RecipientErrors is an error of a Handler with one entry for each recipient of
// an LMTP message (RFC 2033), in their order. An entry is nil if the message is
// safe for that recipient.
//
// Sometimes there is only one reply for all recipients: with SMTP, and with LMTP
// if agents have changed the number of recipients. The server then sends the
// first entry that is not nil, and the Handler must not have accepted the
// message for any recipient.
type RecipientErrors []error

// Error returns a text with the number of refused recipients.
func (e RecipientErrors) Error() string {
	n := 0
	for _, err := range e {
		if err != nil {
			n++
		}
	}
	return fmt.Sprintf("smtpserver: %d of %d recipients refused", n, len(e))
}

// Unwrap returns the entries that are not nil.
func (e RecipientErrors) Unwrap() []error {
	var errs []error
	for _, err := range e {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// recipientErrors returns the RecipientErrors in err. It returns nil if the client
// cannot get one reply for each: with SMTP, or if the number of recipients is not
// the number that the client knows.
func (s *Session) recipientErrors(m *Message, err error) RecipientErrors {
	var each RecipientErrors
	if !s.srv.LMTP || !errors.As(err, &each) || len(each) != len(m.Recipients) || len(each) != s.accepted {
		return nil
	}
	return each
}

// some reports whether the message is safe for at least one recipient.
func (e RecipientErrors) some() bool {
	for _, err := range e {
		if err == nil {
			return true
		}
	}
	return false
}
