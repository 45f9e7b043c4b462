package rewrite

import (
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A rewriter returns the new form of an address. The result is false if the
// address does not change.
type rewriter func(address string) (string, bool)

// fields rewrites the addresses in all header fields with the given names.
func (f rewriter) fields(h *smtpserver.Header, names []string) error {
	return h.Replace(func(field smtpserver.Field) (string, bool) {
		for _, n := range names {
			if field.Is(n) {
				before, value := header.Field(field).Cut()
				v, changed := f.addresses(value)
				return before + v, changed
			}
		}
		return "", false
	})
}

// addresses rewrites the addresses in a list (RFC 5322, 3.4 and 4.4). It also
// rewrites addresses in display names without quotes, where some programs look
// for the mailbox. Nothing else changes, not even addresses in quoted names and
// comments. In a value that cannot be parsed, everything that looks
// like an address is rewritten.
func (f rewriter) addresses(value string) (string, bool) {
	list, _ := header.Addresses(value)
	var out strings.Builder
	copied := 0 // value[:copied] is in out
	for _, a := range list {
		if to, ok := f(a.Addr); ok && to != a.Addr {
			out.WriteString(value[copied:a.Start])
			out.WriteString(to)
			copied = a.End
		}
	}
	if copied == 0 {
		return value, false
	}
	out.WriteString(value[copied:])
	return out.String(), true
}

// errAuthor refuses a From field that cannot be parsed, and so cannot be rewritten.
var errAuthor = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "The From field cannot be parsed"}

// checkFrom refuses a From field that cannot be parsed.
func checkFrom(h *smtpserver.Header) error {
	for _, value := range h.Values("From") {
		if _, err := header.Addresses(value); err != nil {
			return errAuthor
		}
	}
	return nil
}
