package milter

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A reply is what a milter says to a command.
type reply struct {
	act  byte
	smtp *smtp.SMTPError // with actReplyCode
}

func parseReply(act byte, data []byte) (reply, error) {
	switch act {
	case actContinue, actAccept, actDiscard, actReject, actTempFail, actSkip, actShutdown, actConnFail:
		return reply{act: act}, nil
	case actReplyCode:
		e, err := parseSMTP(readStrings(data)[0])
		return reply{act, e}, err
	}
	return reply{}, fmt.Errorf("%w: reply %q", errProtocol, act)
}

// parseSMTP reads "550 5.7.1 text", also with several lines.
func parseSMTP(s string) (*smtp.SMTPError, error) {
	e := &smtp.SMTPError{EnhancedCode: smtp.NoEnhancedCode}
	var text []string
	for line := range strings.SplitSeq(strings.TrimRight(s, "\r\n"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if len(line) < 3 {
			return nil, fmt.Errorf("%w: reply %q", errProtocol, s)
		}
		code, err := strconv.Atoi(line[:3])
		if err != nil || code < 400 || code > 599 || (e.Code != 0 && code != e.Code) {
			return nil, fmt.Errorf("%w: reply code in %q", errProtocol, s)
		}
		e.Code = code
		rest := strings.TrimLeft(line[3:], "- ")
		word, after, _ := strings.Cut(rest, " ")
		if ec, ok := enhanced(word); ok {
			e.EnhancedCode, rest = ec, after
		}
		// libmilter's users double each %, for sendmail's printf.
		text = append(text, strings.ReplaceAll(rest, "%%", "%"))
	}
	e.Message = strings.Join(text, "\n")
	return e, nil
}

func enhanced(word string) (ec smtp.EnhancedCode, ok bool) {
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(word) > 9 {
		return ec, false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return ec, false
		}
		ec[i] = n
	}
	return ec, true
}

// err is what the reply means to the session; nil lets it go on.
func (r reply) err() error {
	switch r.act {
	case actReject:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Refused by a content filter"}
	case actTempFail, actConnFail:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Try again later"}
	case actShutdown:
		e := &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "Closing the connection"}
		return fmt.Errorf("%w: %w", smtpserver.ErrClose, e)
	case actReplyCode:
		if r.smtp.Code == 421 {
			return fmt.Errorf("%w: %w", smtpserver.ErrClose, r.smtp)
		}
		return r.smtp
	case actDiscard:
		return smtpserver.ErrDiscard
	}
	return nil
}
