package milter

import (
	"fmt"
	"strconv"
	"strings"

	gomilter "github.com/emersion/go-milter"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A reply is a milter's reply to a command.
type reply struct {
	code gomilter.ActionCode
	smtp *smtp.SMTPError // with ActReplyCode
}

var proceed = reply{code: gomilter.ActContinue}

// parseReply converts a reply of go-milter.
func parseReply(act *gomilter.Action, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	if act.Code != gomilter.ActReplyCode {
		return reply{code: act.Code}, nil
	}
	e, err := parseSMTP(strconv.Itoa(act.SMTPCode) + " " + act.SMTPText)
	return reply{act.Code, e}, err
}

// parsePacket parses the reply to a command that go-milter does not support.
func parsePacket(p []byte) (reply, error) {
	r := reply{code: gomilter.ActionCode(p[0])}
	switch r.code {
	case gomilter.ActContinue, gomilter.ActAccept, gomilter.ActDiscard, gomilter.ActReject, gomilter.ActTempFail:
		return r, nil
	case gomilter.ActReplyCode:
		e, err := parseSMTP(string(first(p[1:])))
		return reply{r.code, e}, err
	}
	return reply{}, fmt.Errorf("%w: reply %q", errProtocol, p[0])
}

// parseSMTP parses an SMTP reply such as "550 5.7.1 text", with one or more lines.
func parseSMTP(s string) (*smtp.SMTPError, error) {
	e := &smtp.SMTPError{EnhancedCode: smtp.NoEnhancedCode}
	var text []string
	for line := range strings.SplitSeq(strings.TrimRight(s, " \r\n"), "\n") {
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
		// Milters double each % because sendmail formats the text with printf.
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

// err returns the error of an agent for the reply. nil continues the session.
func (r reply) err() error {
	switch r.code {
	case gomilter.ActReject:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Refused by a content filter"}
	case gomilter.ActTempFail:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Try again later"}
	case gomilter.ActReplyCode:
		if r.smtp.Code == 421 {
			return fmt.Errorf("%w: %w", smtpserver.ErrClose, r.smtp)
		}
		return r.smtp
	case gomilter.ActDiscard:
		return smtpserver.ErrDiscard
	}
	return nil
}
