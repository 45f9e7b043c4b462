package rewrite

import (
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// rewriter is the new form of an address, and whether it has one.
type rewriter func(address string) (string, bool)

// fields rewrites the addresses in the header fields of those names.
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

// addresses rewrites the addresses in a list (RFC 5322, 3.4 and 4.4), also in
// display names without quotes, where some programs look for the mailbox.
// Everything else, quoted names and comments with addresses in them included,
// stays as it is. Of a value that cannot be read, what looks like an address is
// rewritten.
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

// errAuthor is for a From field with an author who cannot be read, and so not
// be rewritten.
var errAuthor = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "The From field has no author that can be read"}

// checkFrom refuses a From field that cannot be read.
func checkFrom(h *smtpserver.Header) error {
	for _, value := range h.Values("From") {
		if _, err := header.Addresses(value); err != nil {
			return errAuthor
		}
	}
	return nil
}
