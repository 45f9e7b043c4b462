package smtpserver

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/xtext"
)

// A mailParam is a parameter of MAIL: its extension, and the function that
// reads its value into the message.
type mailParam struct {
	ext Extension // 0 for AUTH, which depends on Server.Auth
	set func(s *Session, msg *Message, key, value string) *paramError
}

var mailParams = map[string]mailParam{
	"SIZE":        {ExtSize, (*Session).sizeParam},
	"BODY":        {Ext8BitMIME, (*Session).bodyParam},
	"SMTPUTF8":    {ExtSMTPUTF8, (*Session).utf8Param},
	"REQUIRETLS":  {ExtRequireTLS, (*Session).requireTLSParam},
	"RET":         {ExtDSN, (*Session).retParam},
	"ENVID":       {ExtDSN, (*Session).envidParam},
	"AUTH":        {0, (*Session).authParam},
	"BY":          {ExtDeliverBy, (*Session).byParam},
	"MT-PRIORITY": {ExtMTPriority, (*Session).priorityParam},
	"HOLDFOR":     {ExtFutureRelease, (*Session).holdParam},
	"HOLDUNTIL":   {ExtFutureRelease, (*Session).holdParam},
}

// mailParam reads one parameter of MAIL.
func (s *Session) mailParam(msg *Message, key, value string) *paramError {
	p, known := mailParams[key]
	switch {
	case !known, p.ext != 0 && !s.offers(p.ext), p.ext == 0 && s.srv.Auth == nil:
		return s.otherParam(key, value, func(a *Agent) []string { return a.MailParams })
	}
	return p.set(s, msg, key, value)
}

// bodyParam reads BODY=7BIT, 8BITMIME (RFC 6152, 2) or BINARYMIME (RFC 3030,
// 3).
func (s *Session) bodyParam(msg *Message, key, value string) *paramError {
	body := smtp.BodyType(strings.ToUpper(value))
	binary := body == smtp.BodyBinaryMIME && s.srv.has(ExtBinaryMIME) && s.srv.has(ExtChunking)
	if !binary && body != smtp.Body8BitMIME && body != smtp.Body7Bit {
		return badValue(key)
	}
	msg.Options.Body = body
	return nil
}

// utf8Param reads SMTPUTF8 (RFC 6531, 3.4), which has no value.
func (s *Session) utf8Param(msg *Message, key, value string) *paramError {
	if value != "" {
		return badValue(key)
	}
	msg.Options.UTF8 = true
	return nil
}

// requireTLSParam reads REQUIRETLS (RFC 8689, 4.1), which has no value.
func (s *Session) requireTLSParam(msg *Message, key, value string) *paramError {
	if value != "" {
		return badValue(key)
	}
	if !s.hasModernTLS() {
		return refusal(530, 5, 7, 10, "REQUIRETLS needs TLS on this connection too")
	}
	msg.Options.RequireTLS = true
	return nil
}

// retParam reads RET=FULL or RET=HDRS (RFC 3461, 4.3).
func (s *Session) retParam(msg *Message, key, value string) *paramError {
	ret := smtp.DSNReturn(strings.ToUpper(value))
	if ret != smtp.DSNReturnFull && ret != smtp.DSNReturnHeaders {
		return badValue(key)
	}
	msg.Options.Return = ret
	return nil
}

// envidParam reads ENVID=xtext (RFC 3461, 4.4). It accepts more than 100
// characters, because some clients send more.
func (s *Session) envidParam(msg *Message, key, value string) *paramError {
	id, err := xtext.Decode(value)
	if err != nil || id == "" || !isReplyLine(id) {
		return badValue(key)
	}
	msg.Options.EnvelopeID = id
	return nil
}

// priorityParam reads MT-PRIORITY=n, from -9 to 9 (RFC 6710, 4.1).
func (s *Session) priorityParam(msg *Message, key, value string) *paramError {
	n, err := strconv.Atoi(value)
	if err != nil || n < -9 || n > 9 || value[0] == '+' {
		return badValue(key)
	}
	msg.priority, msg.Options.Priority = &n, n
	return nil
}

// sizeParam reads SIZE=n (RFC 1870, 6). It refuses a message that is too large
// before the client sends it. RFC 1870 allows at most 20 digits; a longer
// number is also too large.
func (s *Session) sizeParam(msg *Message, key, value string) *paramError {
	if value == "" || strings.Trim(value, "0123456789") != "" {
		return badValue(key)
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n > s.maxSize {
		return refusal(552, 5, 3, 4, fmt.Sprintf("Messages may have at most %d bytes", s.maxSize))
	}
	msg.Options.Size = n
	return nil
}

// authParam reads AUTH=<> or AUTH=mailbox (RFC 4954, 5). Any other value, and
// any value from a client that has not authenticated, counts as "<>": the RFC
// allows a server to treat a value that it does not trust in this way.
func (s *Session) authParam(msg *Message, _, value string) *paramError {
	who, err := xtext.Decode(value)
	if err != nil || strings.Contains(value, "=") || s.identity == "" || addr.Mailbox(who, s.srv.has(ExtSMTPUTF8)) != nil {
		who = ""
	}
	msg.Options.Auth = &who
	return nil
}

// byParam reads BY=seconds;mode (RFC 2852, 4).
func (s *Session) byParam(msg *Message, key, value string) *paramError {
	secs, mode, ok := strings.Cut(value, ";")
	n, err := strconv.Atoi(secs)
	mode, trace := strings.CutSuffix(strings.ToUpper(mode), "T")
	by := &smtp.DeliverByOptions{Time: time.Duration(n) * time.Second, Mode: smtp.DeliverByMode(mode), Trace: trace}
	digits := len(strings.TrimLeft(secs, "+-"))
	known := by.Mode == smtp.DeliverByNotify || by.Mode == smtp.DeliverByReturn
	if !ok || err != nil || !known || digits > 9 || (by.Mode == smtp.DeliverByReturn && n <= 0) {
		return badValue(key)
	}
	if by.Mode == smtp.DeliverByReturn && by.Time < s.srv.MinDeliverBy {
		return refusal(501, 5, 5, 4, fmt.Sprintf("BY must be at least %d seconds", int(s.srv.MinDeliverBy.Seconds())))
	}
	msg.deliverBy = by
	return nil
}

// holdParam reads HOLDFOR=seconds or HOLDUNTIL=date-time (RFC 4865, 4).
func (s *Session) holdParam(msg *Message, key, value string) *paramError {
	if !msg.Options.Release.IsZero() { // HOLDFOR and HOLDUNTIL are both given
		return badValue(key)
	}
	now := time.Now()
	if key == "HOLDFOR" {
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 || len(value) > 9 || value[0] == '+' {
			return badValue(key)
		}
		msg.Options.Release = now.Add(time.Duration(n) * time.Second)
	} else {
		t, err := time.Parse(time.RFC3339, strings.ToUpper(value))
		if err != nil {
			return badValue(key)
		}
		msg.Options.Release = t
	}
	if msg.Options.Release.Sub(now) > s.srv.maxHold() {
		return refusal(501, 5, 5, 4, key+" is longer than the maximum hold time")
	}
	return nil
}
