package smtpclient

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/internal/xtext"
)

// badOption returns the name of a parameter of the message whose value is not
// valid and so must not be written in a command; "" if there is none.
func badOption(m *Message) string {
	o := &m.Options
	if o.Return != "" && o.Return != smtp.DSNReturnFull && o.Return != smtp.DSNReturnHeaders {
		return "RET"
	}
	if by := m.DeliverBy; by != nil && by.Mode != smtp.DeliverByNotify && by.Mode != smtp.DeliverByReturn {
		return "BY"
	}
	for i := range m.Recipients {
		o := &m.Recipients[i].Options
		for _, n := range o.Notify {
			switch n {
			case smtp.DSNNotifyNever, smtp.DSNNotifyDelayed, smtp.DSNNotifyFailure, smtp.DSNNotifySuccess:
			default:
				return "NOTIFY"
			}
		}
		for _, c := range []byte(o.OriginalRecipientType) { // RFC 3461, 4.2: an atom
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
				return "ORCPT"
			}
		}
	}
	return ""
}

// The longest ENVID and ORCPT (RFC 3461, 4.4 and 4.2). Package smtpserver
// accepts longer ones, as Postfix does. They are not sent, because a strict host
// would refuse the message.
const (
	maxEnvelopeID        = 100
	maxOriginalRecipient = 500
)

// terms are the extensions that one message uses with one host. They are
// decided before MAIL.
type terms struct {
	body  smtp.BodyType
	utf8  bool
	bdat  bool
	ascii bool // write domains as A-labels
}

// terms compares what the message requires with what the host offers. A reply
// means that the host cannot take the message for any recipient.
func (c *Client) terms(d *delivery) (terms, *smtp.SMTPError) {
	var t terms
	m := d.m
	if size := m.Content.Size(); c.feat.maxSize > 0 && size > c.feat.maxSize {
		return t, ownReply(552, 5, 3, 4, fmt.Sprintf("message of %d octets exceeds the limit of %s, %d octets", size, c.name(), c.feat.maxSize))
	}
	if m.Options.RequireTLS && !(c.feat.requireTLS && c.proven()) && !m.tlsWanted() {
		// RFC 8689, 4.2.1: only to an authenticated host with REQUIRETLS.
		return t, ownReply(550, 5, 7, 30, "REQUIRETLS support required: "+c.name()+" does not offer it, or its certificate does not prove its name")
	}
	if by := m.DeliverBy; by != nil && by.Mode == smtp.DeliverByReturn {
		if by.Time <= 0 {
			return t, ownReply(550, 5, 4, 7, "delivery time expired") // RFC 2852, 4.1.4
		}
		if !c.feat.deliverBy {
			return t, ownReply(550, 5, 3, 3, c.name()+" does not support DELIVERBY") // RFC 2852, 4.1.4.2
		}
	}
	if refusal := c.termsUTF8(m, &t); refusal != nil {
		return t, refusal
	}
	return t, c.termsBody(d, &t)
}

// termsBody decides how the content is sent. Content that was declared binary
// but is text is sent with DATA if the host does not support binary content.
func (c *Client) termsBody(d *delivery, t *terms) *smtp.SMTPError {
	m := d.m
	switch m.Options.Body {
	case smtp.BodyBinaryMIME:
		if c.feat.binary && c.feat.chunking && !d.noBDAT {
			t.body, t.bdat = smtp.BodyBinaryMIME, true
			return nil
		}
		if !content.IsText(m.Content) {
			return ownReply(554, 5, 6, 3, c.name()+" does not support binary content (BINARYMIME)") // RFC 3030, 3
		}
	case smtp.Body8BitMIME:
	default:
		return nil
	}
	switch {
	case c.feat.eightBit:
		t.body = smtp.Body8BitMIME
	case !c.cfg.Send8Bit && content.EightBit(m.Content):
		return ownReply(554, 5, 6, 3, c.name()+" does not support 8-bit content (8BITMIME), and conversion would break signatures")
	}
	return nil
}

// termsUTF8 decides about SMTPUTF8. A message that was declared SMTPUTF8 but has
// only ASCII in its header may go to a host without the extension, with its
// domains as A-labels (RFC 6531, 3.2 and RFC 5891).
func (c *Client) termsUTF8(m *Message, t *terms) *smtp.SMTPError {
	needs := m.Options.UTF8 || !chars.ASCII(m.From)
	for i := range m.Recipients {
		needs = needs || !chars.ASCII(m.Recipients[i].Addr)
	}
	if !needs {
		return nil
	}
	if c.feat.utf8 {
		t.utf8 = true
		return nil
	}
	t.ascii = true
	if _, ok := addr.ToASCII(m.From); !ok {
		return ownReply(553, 5, 6, 7, "reverse-path needs SMTPUTF8, which "+c.name()+" does not support")
	}
	if header.EightBit(m.Content) {
		return ownReply(554, 5, 6, 9, "message header needs SMTPUTF8, which "+c.name()+" does not support")
	}
	return nil
}

// path returns an address as it is sent to the host: its domain as A-labels, or
// if the message uses SMTPUTF8 as U-labels in normal form, so that the host
// reads the same domain as this package.
func (t terms) path(address string) string {
	if t.ascii {
		address, _ = addr.ToASCII(address)
		return address
	}
	return addr.ToUnicode(address)
}

// appendMail appends the MAIL command, with the parameters of the message that
// the host supports.
func (c *Client) appendMail(b []byte, m *Message, t terms) []byte {
	o := &m.Options
	from := t.path(m.From)
	b = append(b, "MAIL FROM:<"...)
	b = append(b, from...)
	b = append(b, '>')
	if c.feat.size {
		b = append(b, " SIZE="...)
		b = strconv.AppendInt(b, m.Content.Size(), 10)
	}
	if t.body != "" {
		b = append(b, " BODY="...)
		b = append(b, t.body...)
	}
	if t.utf8 {
		b = append(b, " SMTPUTF8"...)
	}
	if o.RequireTLS && c.feat.requireTLS {
		b = append(b, " REQUIRETLS"...)
	}
	if c.feat.dsn {
		if o.Return != "" {
			b = append(b, " RET="...)
			b = append(b, o.Return...)
		}
		if id := xtext.Encode(o.EnvelopeID); id != "" && len(id) <= maxEnvelopeID {
			b = append(b, " ENVID="...)
			b = append(b, id...)
		}
	}
	// Only an authenticated client sends AUTH= (RFC 4954, 5).
	if o.Auth != nil && c.identity != "" {
		b = append(b, " AUTH="...)
		if *o.Auth == "" {
			b = append(b, "<>"...)
		} else {
			b = append(b, xtext.Encode(*o.Auth)...)
		}
	}
	if c.feat.mtPriority && o.Priority != 0 {
		b = append(b, " MT-PRIORITY="...)
		b = strconv.AppendInt(b, int64(o.Priority), 10)
	}
	if by := m.DeliverBy; by != nil && c.feat.deliverBy {
		b = append(b, " BY="...)
		b = strconv.AppendInt(b, int64(by.Time/time.Second), 10)
		b = append(b, ';')
		b = append(b, by.Mode...)
		if by.Trace {
			b = append(b, 'T')
		}
	}
	return append(b, '\r', '\n')
}

// appendRcpt appends a RCPT command.
func (c *Client) appendRcpt(b []byte, r *Recipient, t terms) []byte {
	o := &r.Options
	to := t.path(r.Addr)
	b = append(b, "RCPT TO:<"...)
	b = append(b, to...)
	b = append(b, '>')
	if c.feat.dsn {
		for i, n := range o.Notify {
			if i == 0 {
				b = append(b, " NOTIFY="...)
			} else {
				b = append(b, ',')
			}
			b = append(b, n...)
		}
		if o.OriginalRecipient != "" {
			if to := orcpt(o, t); len(to) <= maxOriginalRecipient {
				b = append(b, " ORCPT="...)
				b = append(b, to...)
			}
		}
	}
	if c.feat.rrvs && !o.RequireRecipientValidSince.IsZero() {
		b = append(b, " RRVS="...)
		b = o.RequireRecipientValidSince.UTC().AppendFormat(b, time.RFC3339)
	}
	return append(b, '\r', '\n')
}

// orcpt returns the original recipient in the form of RFC 3461, 4.2 and
// RFC 6533, 3.
func orcpt(o *RcptOptions, t terms) string {
	kind := o.OriginalRecipientType
	if kind == "" {
		kind = smtp.DSNAddressTypeRFC822
	}
	if strings.EqualFold(string(kind), string(smtp.DSNAddressTypeUTF8)) {
		return "utf-8;" + xtext.EncodeUTF8Addr(o.OriginalRecipient, !t.utf8)
	}
	return strings.ToLower(string(kind)) + ";" + xtext.Encode(o.OriginalRecipient)
}
