package smtpserver

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
)

// Reject returns the error with which a function of an [Agent] or a [Handler]
// refuses: the server sends code, enhanced and text as the reply. It is a
// *smtp.SMTPError.
//
//	return smtpserver.Reject(550, "5.7.1", "Mail from this host is not accepted")
//
// code is from 400 to 499 for a temporary refusal, after which the client tries
// again, and from 500 to 599 for a permanent one (RFC 5321, 4.2.1). enhanced is
// an enhanced status code of the same class (RFC 3463). If it is empty, the
// reply has the code X.0.0 of its class.
//
// Other arguments are a mistake in the program. Reject then returns an error that
// is not a *smtp.SMTPError and describes the mistake: the server refuses, logs the
// error and replies 451 4.3.0, so that the client keeps the mail until the mistake
// is corrected.
func Reject(code int, enhanced, text string) error {
	if code < 400 || code > 599 {
		return fmt.Errorf("smtpserver: Reject: code %d is not from 400 to 599", code)
	}
	class := code / 100
	if enhanced == "" {
		return refusal(code, class, 0, 0, text)
	}
	ec, ok := parseEnhanced(enhanced)
	if !ok {
		return fmt.Errorf("smtpserver: Reject: %q is not an enhanced status code such as \"5.7.1\"", enhanced)
	}
	if ec[0] != class {
		return fmt.Errorf("smtpserver: Reject: the enhanced status code %s does not fit the code %d", enhanced, code)
	}
	return &smtp.SMTPError{Code: code, EnhancedCode: ec, Message: text}
}

// parseEnhanced parses an enhanced status code (RFC 3463, 2).
func parseEnhanced(s string) (ec smtp.EnhancedCode, ok bool) {
	parts := strings.SplitN(s, ".", 4)
	if len(parts) != len(ec) {
		return ec, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n > 999 || len(p) > 1 && p[0] == '0' {
			return ec, false
		}
		ec[i] = int(n)
	}
	return ec, true
}
