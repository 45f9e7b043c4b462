package policy

import (
	"errors"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// errAuthor is the reply if the author in the From field is needed and cannot
// be read.
var errAuthor = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "The author in the From field cannot be read"}

// authors returns the addresses in the From fields of a message: all of them
// if there are several fields or authors, and also addresses in display names
// without quotes, which some programs show as the author. The server's header
// limit bounds their number.
//
// The error is errAuthor if a field cannot be read or has no address. It is
// nil if the message has no From field, or if it is a report (null
// reverse-path) from "MAILER-DAEMON" or "<>".
func authors(m *smtpserver.Message) ([]string, error) {
	fields := m.Header.Values("From")
	list, err := header.Authors(fields)
	var all []string
	for _, a := range list {
		all = append(all, a.Addr)
	}
	switch {
	case err == nil, errors.Is(err, header.ErrNoAuthor) && (len(fields) == 0 || m.From == ""):
		return all, nil
	}
	return all, errAuthor
}

// addressMatcher matches addresses: whole addresses, local parts in any
// domain, exact domains, and all domains below "*.domain".
type addressMatcher struct {
	addresses map[string]bool
	exact     map[string]bool
	below     []string
}

func newAddressMatcher(filter string, addresses, domains []string) (*addressMatcher, []error) {
	m := &addressMatcher{addresses: addressSet(addresses), exact: make(map[string]bool)}
	ps, errs := patterns(filter+".Domains", domains, checkAddresses(filter+".Addresses", addresses))
	for _, p := range ps {
		if strings.HasPrefix(p, "*.") {
			m.below = append(m.below, p)
		} else {
			m.exact[p] = true
		}
	}
	return m, errs
}

func (m *addressMatcher) has(address string) bool {
	if inAddressSet(m.addresses, address) {
		return true
	}
	if len(m.exact)+len(m.below) == 0 {
		return false
	}
	domain := addr.DomainOf(address)
	return m.exact[domain] || matchAny(m.below, []string{domain})
}
