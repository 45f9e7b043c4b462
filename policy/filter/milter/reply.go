package milter

import (
	"fmt"
	"strconv"
	"strings"

	gomilter "github.com/emersion/go-milter"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A reply is what a milter says to a command.
type reply struct {
	code gomilter.ActionCode
	smtp *smtp.SMTPError // with ActReplyCode
}

var proceed = reply{code: gomilter.ActContinue}

// parseReply reads what go-milter made of a reply.
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

// parsePacket reads the reply to a command that go-milter does not know.
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

// parseSMTP reads "550 5.7.1 text", also with several lines.
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
