package smtpserver

import "github.com/emersion/go-smtp"

// errorReply is a function that replies to an error: protocolError or
// recipientError.
type errorReply = func(code int, ec smtp.EnhancedCode, text string) error

// protocolError replies to a violation of the protocol. It ends the session
// after too many of them (Limits.ProtocolErrors).
func (s *Session) protocolError(code int, ec smtp.EnhancedCode, text string) error {
	s.errors++
	limit := s.lim.ProtocolErrors
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

// uncountedError replies to an error that does not count as a protocol error.
// If one transaction contains more of them than it may have recipients, they
// count.
func (s *Session) uncountedError(code int, ec smtp.EnhancedCode, text string) error {
	if s.uncounted++; s.uncounted > s.lim.Recipients {
		return s.protocolError(code, ec, text)
	}
	s.refuseSyntax(code, ec, text)
	return nil
}

// recipientError replies to a recipient with bad syntax. It is not counted,
// because the message may have other, valid recipients.
func (s *Session) recipientError(code int, ec smtp.EnhancedCode, text string) error {
	s.refusedTo = true
	return s.uncountedError(code, ec, text)
}

// noteRefusedMail is called when MAIL was refused. A client that pipelines has
// already sent the rest of the transaction (RFC 2920, 3.1), so the server
// refuses the RCPT, DATA and BDAT commands that follow. before is the number of
// errors before MAIL.
func (s *Session) noteRefusedMail(before int) {
	s.mailRefused, s.errorsBeforeMail = true, before
}

// followError replies to a command that follows a refused MAIL. MAIL and all
// such commands together count as one error. If an agent refused MAIL, that was
// no protocol error, and the first command that follows counts.
func (s *Session) followError(code int, ec smtp.EnhancedCode, text string) error {
	if s.errors == s.errorsBeforeMail {
		return s.protocolError(code, ec, text)
	}
	return s.uncountedError(code, ec, text)
}
