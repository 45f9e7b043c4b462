package smtpserver

import "github.com/emersion/go-smtp"

// errorReply is one of the ways to reply to an error: protocolError or
// recipientError.
type errorReply = func(code int, ec smtp.EnhancedCode, text string) error

// protocolError replies to what is not SMTP, and ends the session when there
// was too much of it.
func (s *Session) protocolError(code int, ec smtp.EnhancedCode, text string) error {
	s.errors++
	limit := s.lim.Errors
	if s.srv.overloaded() {
		limit = min(limit, overloadErrors)
	}
	s.refuseSyntax(code, ec, text)
	if s.errors > limit {
		return s.bye(421, smtp.EnhancedCode{4, 7, 0}, "Too many errors")
	}
	return nil
}

func (s *Session) refuseSyntax(code int, ec smtp.EnhancedCode, text string) {
	s.refuse(&verdict{reply: &smtp.SMTPError{Code: code, EnhancedCode: ec, Message: text}, by: "protocol"})
}

// uncountedError replies to an error that is not counted, unless there have been
// as many in this transaction as it may have recipients.
func (s *Session) uncountedError(code int, ec smtp.EnhancedCode, text string) error {
	if s.uncounted++; s.uncounted > s.lim.Recipients {
		return s.protocolError(code, ec, text)
	}
	s.refuseSyntax(code, ec, text)
	return nil
}

// recipientError replies to a recipient that cannot be read. The other
// recipients of the message are not to suffer from it.
func (s *Session) recipientError(code int, ec smtp.EnhancedCode, text string) error {
	s.refusedTo = true
	return s.uncountedError(code, ec, text)
}

// noteRefusedMail is called when MAIL was refused. A client that pipelines has
// already sent the rest of the transaction (RFC 2920, 3.1): the RCPT, DATA and
// BDAT commands that follow are refused because of it. Before is the number of
// errors before MAIL.
func (s *Session) noteRefusedMail(before int) {
	s.mailRefused, s.errorsBeforeMail = true, before
}

// followError replies to a command that follows a refused MAIL. MAIL and all
// such commands count as one error: MAIL itself, or, where an agent refused it
// for a reason that is not a protocol error, the first command that follows.
func (s *Session) followError(code int, ec smtp.EnhancedCode, text string) error {
	if s.errors == s.errorsBeforeMail {
		return s.protocolError(code, ec, text)
	}
	return s.uncountedError(code, ec, text)
}
