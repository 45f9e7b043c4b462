package smtpserver

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/xtext"
)

// paramError is what is wrong with a parameter: its value (501), or that it
// is none of ours (555).
type paramError = smtp.SMTPError

// maxParams is more parameters than all extensions together define.
const maxParams = 32

// parseParams reads " KEY=value KEY ..." (RFC 5321, 4.1.2) and calls set for
// each, with the key in upper case. Many clients do not encode the "=" in
// ENVID and ORCPT; like Postfix it takes them.
func parseParams(rest string, set func(key, value string) *paramError) *paramError {
	var seen []string
	for rest = strings.TrimLeft(rest, blanks); rest != ""; {
		var word string
		word, rest = nextWord(rest)
		key, value, hasValue := strings.Cut(word, "=")
		key = strings.ToUpper(key)
		if !validKeyword(key) || key != "AUTH" && !wellFormedValue(key, value, hasValue) { // of AUTH, see authParam
			return refusal(501, 5, 5, 4, "Bad parameter syntax")
		}
		if slices.Contains(seen, key) || len(seen) == maxParams {
			return refusal(501, 5, 5, 4, "Parameter "+key+" is given twice, or there are too many")
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

// validKeyword is esmtp-keyword of RFC 5321, 4.1.2.
func validKeyword(k string) bool {
	for i := range len(k) {
		c := k[i]
		if !('A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' && i > 0) {
			return false
		}
	}
	return k != "" && len(k) <= 64
}

// mailParams reads the parameters of MAIL into msg. done means that the
// command was refused.
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

func (s *Session) mailParam(msg *Message, key, value string) *paramError {
	o := &msg.Options
	on := s.srv.has
	switch {
	case key == "SIZE" && on(ExtSize):
		return s.sizeParam(o, value)
	case key == "BODY" && on(Ext8BitMIME):
		o.Body = smtp.BodyType(strings.ToUpper(value))
		binary := o.Body == smtp.BodyBinaryMIME && on(ExtBinaryMIME) && on(ExtChunking)
		if !binary && o.Body != smtp.Body8BitMIME && o.Body != smtp.Body7Bit {
			return badValue(key)
		}
	case key == "SMTPUTF8" && on(ExtSMTPUTF8):
		if value != "" {
			return badValue(key)
		}
		o.UTF8 = true
	case key == "REQUIRETLS" && on(ExtRequireTLS):
		if value != "" {
			return badValue(key)
		}
		if !s.hasModernTLS() { // RFC 8689, 4.1
			return refusal(530, 5, 7, 10, "REQUIRETLS needs TLS on this connection too")
		}
		o.RequireTLS = true
	case key == "RET" && on(ExtDSN):
		o.Return = smtp.DSNReturn(strings.ToUpper(value))
		if o.Return != smtp.DSNReturnFull && o.Return != smtp.DSNReturnHeaders {
			return badValue(key)
		}
	case key == "ENVID" && on(ExtDSN):
		id, err := xtext.Decode(value)
		if err != nil || id == "" || !clean(id) { // RFC 3461, 4.4; some have more than its 100 characters
			return badValue(key)
		}
		o.EnvelopeID = id
	case key == "AUTH" && s.srv.Auth != nil:
		return s.authParam(o, value)
	case key == "BY" && on(ExtDeliverBy):
		return s.byParam(msg, value)
	case key == "MT-PRIORITY" && on(ExtMTPriority):
		n, err := strconv.Atoi(value)
		if err != nil || n < -9 || n > 9 || value[0] == '+' { // RFC 6710, 4.1
			return badValue(key)
		}
		msg.priority = &n
	case (key == "HOLDFOR" || key == "HOLDUNTIL") && on(ExtFutureRelease):
		return s.holdParam(msg, key, value)
	default:
		return s.otherParam(key, value, func(a *Agent) []string { return a.MailParams })
	}
	return nil
}

// sizeParam is SIZE=n (RFC 1870, 6): a message that would be too long is
// refused before it is sent. RFC 1870 has at most 20 digits; a number of more
// is too long as well.
func (s *Session) sizeParam(o *smtp.MailOptions, value string) *paramError {
	if value == "" || strings.Trim(value, "0123456789") != "" {
		return badValue("SIZE")
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n > s.maxSize {
		return refusal(552, 5, 3, 4, fmt.Sprintf("Messages may have at most %d bytes", s.maxSize))
	}
	o.Size = n
	return nil
}

// authParam is AUTH=<> or AUTH=mailbox (RFC 4954, 5). Every other value, and
// what a client says that has not authenticated itself, counts as "<>": the
// RFC lets a server take what it does not trust for that.
func (s *Session) authParam(o *smtp.MailOptions, value string) *paramError {
	who, err := xtext.Decode(value)
	if err != nil || strings.Contains(value, "=") || s.identity == "" || addr.Mailbox(who, s.srv.has(ExtSMTPUTF8)) != nil {
		who = ""
	}
	o.Auth = &who
	return nil
}

// byParam is BY=seconds;mode (RFC 2852, 4).
func (s *Session) byParam(msg *Message, value string) *paramError {
	secs, mode, ok := strings.Cut(value, ";")
	n, err := strconv.Atoi(secs)
	mode, trace := strings.CutSuffix(strings.ToUpper(mode), "T")
	by := &smtp.DeliverByOptions{Time: time.Duration(n) * time.Second, Mode: smtp.DeliverByMode(mode), Trace: trace}
	digits := len(strings.TrimLeft(secs, "+-"))
	known := by.Mode == smtp.DeliverByNotify || by.Mode == smtp.DeliverByReturn
	if !ok || err != nil || !known || digits > 9 || (by.Mode == smtp.DeliverByReturn && n <= 0) {
		return badValue("BY")
	}
	if by.Mode == smtp.DeliverByReturn && by.Time < s.srv.MinDeliverBy {
		return refusal(501, 5, 5, 4, fmt.Sprintf("BY must be at least %d seconds", int(s.srv.MinDeliverBy.Seconds())))
	}
	msg.deliverBy = by
	return nil
}

// holdParam is HOLDFOR=seconds or HOLDUNTIL=date-time (RFC 4865, 4).
func (s *Session) holdParam(msg *Message, key, value string) *paramError {
	if !msg.Release.IsZero() { // both are given
		return badValue(key)
	}
	now := time.Now()
	if key == "HOLDFOR" {
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 || len(value) > 9 || value[0] == '+' {
			return badValue(key)
		}
		msg.Release = now.Add(time.Duration(n) * time.Second)
	} else {
		t, err := time.Parse(time.RFC3339, strings.ToUpper(value))
		if err != nil {
			return badValue(key)
		}
		msg.Release = t
	}
	if msg.Release.Sub(now) > s.srv.maxHold() {
		return refusal(501, 5, 5, 4, key+" is further away than messages are held")
	}
	return nil
}

// futureRelease is the EHLO line of RFC 4865, 3.
func (s *Session) futureRelease() string {
	max := s.srv.maxHold()
	until := time.Now().Add(max).UTC().Format(time.RFC3339)
	return "FUTURERELEASE " + strconv.Itoa(int(max.Seconds())) + " " + until
}

// otherParam keeps a parameter that an agent knows; any other is refused
// (RFC 5321, 4.1.1.11).
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

// rcptParams reads the parameters of RCPT into r.
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
	case key == "NOTIFY" && s.srv.has(ExtDSN):
		return notifyParam(&r.Options, value)
	case key == "ORCPT" && s.srv.has(ExtDSN):
		return s.orcptParam(&r.Options, value)
	}
	return s.otherParam(key, value, func(a *Agent) []string { return a.RcptParams })
}

// notifyParam is NOTIFY=NEVER or a list of the others (RFC 3461, 4.1). A word
// given twice counts once, and a comma at the end is left out, as in Postfix.
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

// orcptParam is ORCPT=type;address (RFC 3461, 4.2), with the forms of the
// type utf-8 (RFC 6533, 3).
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
	// RFC 3461, 4.2: but for the type utf-8, printable ASCII. No control
	// character, C1 neither, must get into a report or a log.
	if err != nil || address == "" || kind != string(smtp.DSNAddressTypeUTF8) && !chars.ASCII(address) || strings.ContainsFunc(address, unicode.IsControl) {
		return badValue("ORCPT")
	}
	o.OriginalRecipientType, o.OriginalRecipient = smtp.DSNAddressType(kind), address
	return nil
}
