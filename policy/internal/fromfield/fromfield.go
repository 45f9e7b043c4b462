package fromfield

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

var (
	// ErrNone: the message has no From field, or no address in it.
	ErrNone = errors.New("the message has no author")
	// ErrSeveral: it has several From fields, or authors of several domains.
	ErrSeveral = errors.New("the message has authors of several domains")
	// ErrMalformed: its From field cannot be read, or could be in two ways.
	ErrMalformed = errors.New("the From field is malformed")
)

// Domain is the author's domain, in A-labels and lower case, of a message
// whose From fields have these values.
func Domain(values []string) (string, error) {
	if len(values) == 0 {
		return "", ErrNone
	}
	if len(values) > 1 {
		return "", fmt.Errorf("%w: it has %d From fields", ErrSeveral, len(values))
	}
	addresses, err := Addresses(values[0])
	if err != nil {
		return "", err
	}
	domain := ""
	for _, a := range addresses {
		_, d := addr.Split(a)
		c, err := addr.Domain(d)
		if strings.HasPrefix(d, "[") && strings.HasSuffix(d, "]") {
			return "", fmt.Errorf("author %q has an address in place of a domain", a)
		}
		if err != nil || !isName(c) {
			return "", fmt.Errorf("%w: author %q has no domain", ErrMalformed, a)
		}
		if domain != "" && c != domain {
			return "", ErrSeveral
		}
		domain = c
	}
	return domain, nil
}

func isName(d string) bool {
	if d == "" || d[0] == '[' || d[0] == '.' || strings.Contains(d, "..") {
		return false
	}
	for i := range len(d) {
		if d[i] <= ' ' || strings.IndexByte(`()<>@,;:\"[]`, d[i]) >= 0 {
			return false
		}
	}
	return true
}

// maxAddresses bounds the authors of one message.
const maxAddresses = 50

// Addresses are the addresses in a From field's value: what stands in angle
// brackets, or alone. Names, comments and groups' names are passed over.
func Addresses(value string) ([]string, error) {
	p := parser{rest: value}
	for p.err == nil && p.rest != "" {
		p.next()
	}
	p.end()
	switch {
	case p.err != nil:
		return nil, fmt.Errorf("%w: %w", ErrMalformed, p.err)
	case len(p.found) == 0:
		return nil, ErrNone
	}
	return p.found, nil
}

// A parser goes through a list of mailboxes token by token.
type parser struct {
	rest   string
	text   strings.Builder // of the mailbox so far, without comments
	angle  string          // its address in angle brackets
	before int             // length of the text before that
	hasIt  bool
	found  []string
	err    error
}

func (p *parser) next() {
	switch p.rest[0] {
	case '"':
		p.text.WriteString(p.cut(quoted(p.rest), "a quote that is not closed"))
	case '(':
		p.cut(comment(p.rest), "a comment that is not closed")
		p.text.WriteByte(' ')
	case '<':
		n := closing(p.rest)
		s := p.cut(n, `"<" without ">"`)
		if p.hasIt && p.err == nil {
			p.err = errors.New("two addresses in angle brackets without a comma between them")
		}
		if p.err == nil {
			p.angle, p.hasIt = strings.TrimSpace(s[1:len(s)-1]), true
			p.before = len(strings.TrimLeft(p.text.String(), " \t"))
		}
	case ',', ';':
		p.rest = p.rest[1:]
		p.end()
	case ':': // the end of a group's name
		p.rest = p.rest[1:]
		p.text.Reset()
	default:
		p.text.WriteByte(p.rest[0])
		p.rest = p.rest[1:]
	}
}

// cut takes the first n octets; n < 0 is an error.
func (p *parser) cut(n int, problem string) string {
	if n < 0 {
		p.err, p.rest = errors.New(problem), ""
		return ""
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

// end ends a mailbox.
func (p *parser) end() {
	address := strings.TrimSpace(p.text.String())
	if p.hasIt {
		from := min(p.before, len(address))
		if p.angle == "" {
			from = 0
		}
		if strings.Contains(address[from:], "@") && p.err == nil {
			p.err = errors.New("an address beside the one in angle brackets")
		}
		address = p.angle
	}
	// "Doe, John <j@example.org>" is two mailboxes to the grammar and one to
	// everybody else: what has no address is a piece of a name.
	// Nor has "<>" one.
	name := address == "" || !p.hasIt && !strings.Contains(address, "@")
	p.text.Reset()
	p.angle, p.hasIt = "", false
	if name || p.err != nil {
		return
	}
	if i := strings.IndexByte(address, ':'); i >= 0 && strings.HasPrefix(address, "@") {
		address = address[i+1:] // a source route (RFC 5322, 4.4)
	}
	switch {
	case ats(address) != 1:
		p.err = fmt.Errorf("%q is no address", address)
	case len(p.found) == maxAddresses:
		p.err = fmt.Errorf("more than %d addresses", maxAddresses)
	default:
		p.found = append(p.found, address)
	}
}

// ats is the number of @ outside of quotes.
func ats(address string) int {
	n := 0
	for i := 0; i < len(address); i++ {
		switch address[i] {
		case '"':
			if l := quoted(address[i:]); l > 0 {
				i += l - 1
			}
		case '@':
			n++
		}
	}
	return n
}

// quoted is the length of the quoted string that s begins with.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// comment is the length of the comment that s begins with; comments nest.
func comment(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// closing is the length of the part in angle brackets that s begins with.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			n := quoted(s[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case '<':
			return -1
		case '>':
			return i + 1
		}
	}
	return -1
}
