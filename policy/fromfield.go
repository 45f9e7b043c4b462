package policy

import (
	"net/mail"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// authors are the addresses in the From fields of a header, all of them where
// there are several. Strangers write what they like, and mail programs show
// what they can: from a field that is no list of addresses (RFC 5322, 3.6.2)
// everything is taken that could pass for one. The server's limit on headers
// bounds how many there are; one that is left out for their number would be the
// one that counts.
func authors(h *smtpserver.Header) []string {
	var all []string
	for _, value := range h.Values("From") {
		if a := plainAuthor(value); a != "" {
			all = append(all, a)
			continue
		}
		list, err := (&mail.AddressParser{}).ParseList(value)
		for _, a := range list {
			all = append(all, a.Address)
		}
		if err != nil {
			all = append(all, anyAddresses(value)...)
		}
	}
	return all
}

// plainAuthor reads the form that most From fields have, "Name <address>" or
// "address", without quotes, comments, lists or anything else that could be
// read in two ways. It is empty for all others.
func plainAuthor(value string) string {
	if strings.Count(value, "@") != 1 || strings.ContainsAny(value, "\"(),;:\\=[]") {
		return ""
	}
	a := value
	if i := strings.IndexByte(value, '<'); i >= 0 {
		a = value[i+1:]
		if !strings.HasSuffix(a, ">") {
			return ""
		}
		a = a[:len(a)-1]
	}
	if addr.Mailbox(a, true) != nil {
		return ""
	}
	return a
}

// anyAddresses are all "local@domain" in a text, without regard to syntax.
func anyAddresses(text string) []string {
	var found []string
	for at := 0; ; at++ {
		i := strings.IndexByte(text[at:], '@')
		if i < 0 {
			break
		}
		at += i
		start := strings.LastIndexFunc(text[:at], isBoundary) + 1
		end := strings.IndexFunc(text[at+1:], isBoundary)
		if end < 0 {
			end = len(text) - at - 1
		}
		if domain := strings.Trim(text[at+1:at+1+end], "."); domain != "" {
			found = append(found, text[start:at]+"@"+domain)
		}
	}
	return found
}

func isBoundary(r rune) bool { return strings.ContainsRune(" \t\r\n<>()[],;:\"\\@", r) }

// addressMatcher is a list of senders or recipients: whole addresses, local
// parts in any domain, "@domain" or "domain"'s, all below "*.domain".
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
