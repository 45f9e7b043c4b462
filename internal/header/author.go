package header

import (
	"errors"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

var (
	// ErrNoAuthor means that the message has no From field, or one without an
	// address.
	ErrNoAuthor = errors.New("the message has no author")
	// ErrAuthor means that a From field is malformed, or that programs may find
	// different authors in it.
	ErrAuthor = errors.New("the From field is malformed")
	// ErrAuthorDomains means that the message has several From fields, or authors
	// in several domains.
	ErrAuthorDomains = errors.New("the message has authors in several domains")
)

// Authors returns the addresses in the From fields (RFC 5322, 3.6.2) of a
// message. values are the values of these fields. The result includes addresses
// with InName set. Every other author has a valid domain or address literal.
//
// The error wraps ErrAuthor or ErrNoAuthor. With ErrAuthor, the result contains
// the authors that could be parsed.
func Authors(values []string) ([]Address, error) {
	var authors []Address
	var malformed error
	missing := len(values) == 0
	for _, v := range values {
		list, err := Addresses(v)
		named := false
		for _, a := range list {
			named = named || !a.InName
			_, domain := addr.Split(a.Addr)
			if _, e := addr.Domain(domain); e != nil && !a.InName && err == nil {
				err = e
			}
		}
		if err != nil && malformed == nil {
			malformed = fmt.Errorf("%w: %w", ErrAuthor, err)
		}
		missing = missing || !named
		authors = append(authors, list...)
	}
	switch {
	case malformed != nil:
		return authors, malformed
	case missing:
		return authors, ErrNoAuthor
	}
	return authors, nil
}

// maxAuthors is the largest number of authors of one message.
const maxAuthors = 50

// AuthorDomain returns the domain of the authors of a message, in A-labels and
// lower case. values are the values of the From fields. In addition to the
// errors of [Authors], it returns ErrAuthorDomains, and an error for an author
// with an address literal.
func AuthorDomain(values []string) (string, error) {
	authors, err := Authors(values)
	switch {
	case len(values) > 1:
		return "", fmt.Errorf("%w: it has %d From fields", ErrAuthorDomains, len(values))
	case err != nil:
		return "", err
	case len(authors) > maxAuthors:
		return "", fmt.Errorf("%w: more than %d addresses", ErrAuthor, maxAuthors)
	}
	domain := ""
	for _, a := range authors {
		if a.InName {
			continue
		}
		d := addr.DomainOf(a.Addr)
		if d[0] == '[' {
			return "", fmt.Errorf("author %q has an address literal in place of a domain", a.Addr)
		}
		if domain != "" && d != domain {
			return "", ErrAuthorDomains
		}
		domain = d
	}
	return domain, nil
}
