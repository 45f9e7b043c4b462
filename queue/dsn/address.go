package dsn

import (
	"mime"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/internal/xtext"
)

// address returns an address with its type (RFC 3464, 2.3.1; RFC 6533, 3).
func address(a string, typ smtp.DSNAddressType, utf8 bool) string {
	if m, ok := asciiMailbox(a); ok && !utf8 && typ != smtp.DSNAddressTypeUTF8 {
		a = m // most readers of reports know the type rfc822
	}
	switch {
	case typ == smtp.DSNAddressTypeUTF8 || !chars.ASCII(a):
		return "utf-8; " + xtext.EncodeUTF8Addr(chars.OneLine(strings.ToValidUTF8(a, "?")), !utf8)
	case typ != "" && typ != smtp.DSNAddressTypeRFC822:
		return strings.ToLower(safe(string(typ))) + "; " + safe(a)
	}
	return "rfc822; " + safe(a)
}

// asciiMailbox returns the address with its domain as A-labels. ok is false if
// its local part is not ASCII.
func asciiMailbox(a string) (mailbox string, ok bool) {
	if chars.ASCII(a) {
		return a, true
	}
	local, domain := addr.Split(a)
	d, err := addr.Domain(domain)
	if err != nil || !chars.ASCII(local) {
		return "", false
	}
	return local + "@" + d, true
}

// from returns the address for the From field.
func (r *Report) from() string {
	from := first(r.From, "postmaster@"+r.ReportingMTA)
	if r.UTF8 {
		return chars.OneLine(from)
	}
	if a, ok := asciiMailbox(from); ok {
		return chars.OneLine(a)
	}
	return "postmaster@" + safe(r.ReportingMTA)
}

// recipientField returns the value of the To field. An address whose local part
// is not ASCII becomes the name of an empty group (RFC 6857, 3.1.7).
func recipientField(to string, utf8 bool) string {
	if utf8 {
		return "<" + chars.OneLine(strings.ToValidUTF8(to, "?")) + ">"
	}
	if a, ok := asciiMailbox(to); ok {
		return "<" + chars.OneLine(a) + ">"
	}
	return foldWords(mime.QEncoding.Encode("utf-8", chars.OneLine(strings.ToValidUTF8(to, "?")))) + " :;"
}

// mailbox returns the first address of a From or To field. It also reads the
// empty group that recipientField writes.
func mailbox(value string) string {
	if list, err := header.Addresses(value); err == nil && len(list) > 0 {
		return list[0].Addr
	}
	if name, ok := strings.CutSuffix(strings.TrimSpace(value), ":;"); ok && strings.HasPrefix(name, "=?") {
		if d, err := new(mime.WordDecoder).DecodeHeader(strings.TrimSpace(name)); err == nil {
			return d
		}
	}
	return ""
}
