package smtpserver

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/xtext"
)

// paramError is an error in a parameter: a bad value (501) or an unknown
// parameter (555).
type paramError = smtp.SMTPError

// maxParams is the largest number of parameters of one command. All extensions
// together define fewer.
const maxParams = 32

// parseParams parses " KEY=value KEY ..." (RFC 5321, 4.1.2) and calls set for
// each parameter, with the key in upper case. Like Postfix, it accepts "=" in
// the values of ENVID and ORCPT, because many clients do not encode it.
func parseParams(rest string, set func(key, value string) *paramError) *paramError {
	var seen []string
	for rest = strings.TrimLeft(rest, blanks); rest != ""; {
		var word string
		word, rest = nextWord(rest)
		key, value, hasValue := strings.Cut(word, "=")
		key = strings.ToUpper(key)
		if !validKeyword(key) || key != "AUTH" && !wellFormedValue(key, value, hasValue) { // for AUTH, see authParam
			return refusal(501, 5, 5, 4, "Bad parameter syntax")
		}
		if slices.Contains(seen, key) {
			return refusal(501, 5, 5, 4, "Parameter "+key+" is given twice")
		}
		if len(seen) == maxParams {
			return refusal(501, 5, 5, 4, "Too many parameters")
		}
		seen = append(seen, key)
		if err := set(key, value); err != nil {
			return err
		}
	}
	return nil
}

func wellFormedValue(key, value string, given bool) bool {
	if given && value == "" {
		return false
	}
	return !strings.Contains(value, "=") || key == "ENVID" || key == "ORCPT"
}

// validKeyword reports whether k is an esmtp-keyword (RFC 5321, 4.1.2).
func validKeyword(k string) bool {
	for i := range len(k) {
		c := k[i]
		if !('A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' && i > 0) {
			return false
		}
	}
	return k != "" && len(k) <= 64
}

// mailParams reads the parameters of MAIL into msg. done is true if the command
// was refused.
func (s *Session) mailParams(msg *Message, rest string) (done bool, err error) {
	s.params = nil
	if rest == "" {
		return false, nil
	}
	e := parseParams(rest, func(key, value string) *paramError { return s.mailParam(msg, key, value) })
	msg.Params = s.params
	return s.paramsDone(e, s.protocolError)
}

func (s *Session) paramsDone(e *paramError, reply errorReply) (bool, error) {
	switch {
	case e == nil:
		return false, nil
	case e.Code == 501:
		return true, reply(e.Code, e.EnhancedCode, e.Message)
	}
	return true, s.fail(e)
}

func badValue(key string) *paramError {
	return refusal(501, 5, 5, 4, "Bad value of parameter "+key)
}

// futureRelease returns the EHLO line of RFC 4865, 3.
func (s *Session) futureRelease() string {
	max := s.srv.maxHold()
	until := time.Now().Add(max).UTC().Format(time.RFC3339)
	return "FUTURERELEASE " + strconv.Itoa(int(max.Seconds())) + " " + until
}

// otherParam stores a parameter that an agent understands, and refuses any
// other (RFC 5321, 4.1.1.11).
func (s *Session) otherParam(key, value string, names func(*Agent) []string) *paramError {
	for i := range s.srv.Agents {
		if slices.Contains(names(&s.srv.Agents[i]), key) {
			if s.params == nil {
				s.params = make(map[string]string)
			}
			s.params[key] = value
			return nil
		}
	}
	return refusal(555, 5, 5, 4, "Parameter "+key+" is not recognized or not implemented")
}

// rcptParams reads the parameters of RCPT into r. done is true if the command
// was refused.
func (s *Session) rcptParams(r *Recipient, rest string) (done bool, err error) {
	s.params = nil
	if rest == "" {
		return false, nil
	}
	e := parseParams(rest, func(key, value string) *paramError { return s.rcptParam(r, key, value) })
	r.Params = s.params
	return s.paramsDone(e, s.recipientError)
}

func (s *Session) rcptParam(r *Recipient, key, value string) *paramError {
	switch {
	case key == "NOTIFY" && s.offers(ExtDSN):
		return notifyParam(&r.Options.RcptOptions, value)
	case key == "ORCPT" && s.offers(ExtDSN):
		return s.orcptParam(&r.Options.RcptOptions, value)
	}
	return s.otherParam(key, value, func(a *Agent) []string { return a.RcptParams })
}

// notifyParam reads NOTIFY=NEVER or a list of the other values (RFC 3461, 4.1).
// As in Postfix, a value that is given twice counts once, and a comma at the
// end is ignored.
func notifyParam(o *smtp.RcptOptions, value string) *paramError {
	for word := range strings.SplitSeq(strings.TrimSuffix(strings.ToUpper(value), ","), ",") {
		n := smtp.DSNNotify(word)
		switch n {
		case smtp.DSNNotifyNever, smtp.DSNNotifyDelayed, smtp.DSNNotifyFailure, smtp.DSNNotifySuccess:
		default:
			return badValue("NOTIFY")
		}
		if !slices.Contains(o.Notify, n) {
			o.Notify = append(o.Notify, n)
		}
	}
	if len(o.Notify) > 1 && slices.Contains(o.Notify, smtp.DSNNotifyNever) {
		return badValue("NOTIFY")
	}
	return nil
}

// orcptParam reads ORCPT=type;address (RFC 3461, 4.2), including the forms of
// the type utf-8 (RFC 6533, 3).
func (s *Session) orcptParam(o *smtp.RcptOptions, value string) *paramError {
	kind, address, ok := strings.Cut(value, ";")
	kind = strings.ToUpper(kind)
	if !ok || !validKeyword(kind) {
		return badValue("ORCPT")
	}
	var err error
	if kind == string(smtp.DSNAddressTypeUTF8) {
		if !s.msg.Options.UTF8 && !chars.ASCII(address) {
			return badValue("ORCPT")
		}
		address, err = xtext.DecodeUTF8Addr(address)
	} else {
		address, err = xtext.Decode(address)
	}
	// RFC 3461, 4.2: printable ASCII, except with the type utf-8. Control
	// characters, including C1, must not get into a report or a log.
	if err != nil || address == "" || kind != string(smtp.DSNAddressTypeUTF8) && !chars.ASCII(address) || strings.ContainsFunc(address, unicode.IsControl) {
		return badValue("ORCPT")
	}
	o.OriginalRecipientType, o.OriginalRecipient = smtp.DSNAddressType(kind), address
	return nil
}
