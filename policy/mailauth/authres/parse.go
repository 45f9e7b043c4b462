package authres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// Parse parses the value of an Authentication-Results field and returns the
// authserv-id and the results. It skips comments. It also returns the results
// of methods that this package does not know. A value with more than 50 results
// is an error. If there is an error, id and results contain the values that
// were read before the error.
func Parse(field string) (id string, results []Result, err error) {
	p := &parser{s: field}
	id, err = p.value("")
	if err != nil {
		return "", nil, fmt.Errorf("authres: authserv-id: %w", err)
	}
	if p.skip(); p.s != "" && p.s[0] != ';' {
		if v, err := p.value(""); err != nil || strings.Trim(v, "0123456789") != "" {
			return id, nil, errors.New("authres: unexpected text between the authserv-id and the first result")
		}
	}
	for {
		p.skip()
		if p.s == "" {
			return id, results, nil
		}
		if p.s[0] != ';' {
			return id, results, fmt.Errorf("authres: expected \";\" before the next result, found %.20q", p.s)
		}
		p.s = p.s[1:]
		r, err := p.result()
		if err != nil {
			return id, results, fmt.Errorf("authres: result %d: %w", len(results)+1, err)
		}
		if r.Method == "" {
			continue // "none", or nothing
		}
		if len(results) == maxResults {
			return id, results, fmt.Errorf("authres: more than %d results", maxResults)
		}
		results = append(results, r)
	}
}

// ServerID returns the authserv-id from the value of an Authentication-Results
// field, in canonical form: lower case, A-labels, without white space, invisible
// characters or a trailing dot. It returns an error if the id cannot be read.
func ServerID(field string) (string, error) {
	p := &parser{s: field}
	id, err := p.value("")
	if err == nil {
		p.skip()
		if p.s != "" && p.s[0] != ';' && (p.s[0] < '0' || p.s[0] > '9') {
			err = errors.New("authres: invalid text after the authserv-id")
		}
	}
	if err != nil {
		return "", err
	}
	return canonical(id)
}

// canonical returns the canonical form of an authserv-id. Ids that a reader may
// take for the same one have the same form.
func canonical(id string) (string, error) {
	if !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return strings.ToLower(strings.TrimSuffix(id, ".")), nil
	}
	d, err := addr.Domain(strings.TrimSpace(id))
	if err != nil {
		return "", fmt.Errorf("authres: invalid authserv-id: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSpace(d), "."), nil
}

type parser struct{ s string }

// result parses a resinfo (RFC 8601, 2.2) without its semicolon.
func (p *parser) result() (r Result, err error) {
	if p.skip(); p.s == "" || p.s[0] == ';' {
		return r, nil
	}
	method, err := p.word("/=")
	if err != nil {
		return r, err
	}
	if p.skip(); strings.HasPrefix(p.s, "/") { // the method's version
		p.s = p.s[1:]
		if _, err := p.word("="); err != nil {
			return r, err
		}
	}
	if p.skip(); !strings.HasPrefix(p.s, "=") {
		if strings.EqualFold(method, "none") {
			return r, nil
		}
		return r, fmt.Errorf("%q is not followed by =", method)
	}
	p.s = p.s[1:]
	value, err := p.word("")
	if err != nil {
		return r, err
	}
	r.Method, r.Value = strings.ToLower(method), strings.ToLower(value)
	for {
		if p.skip(); p.s == "" || p.s[0] == ';' {
			return r, nil
		}
		if err := p.property(&r); err != nil {
			return r, err
		}
	}
}

// property parses reason="..." or ptype.name=value.
func (p *parser) property(r *Result) error {
	name, err := p.word("=.")
	if err != nil {
		return err
	}
	typ := ""
	if p.skip(); strings.HasPrefix(p.s, ".") {
		p.s = p.s[1:]
		typ = name
		if name, err = p.word("="); err != nil {
			return err
		}
		p.skip()
	}
	if !strings.HasPrefix(p.s, "=") {
		return fmt.Errorf("property %q has no value", name)
	}
	p.s = p.s[1:]
	v, err := p.value("@/[]:")
	if err != nil {
		return fmt.Errorf("property %q: %w", name, err)
	}
	if typ == "" && strings.EqualFold(name, "reason") {
		r.Reason = v
	} else if len(r.Properties) < maxResults {
		r.Properties = append(r.Properties, Property{strings.ToLower(typ), strings.ToLower(name), v})
	}
	return nil
}

// skip skips white space and comments. A comment that is not closed extends to
// the end of the value.
func (p *parser) skip() {
	for p.s != "" {
		switch p.s[0] {
		case ' ', '\t', '\r', '\n':
			p.s = p.s[1:]
		case '(':
			n := header.Comment(p.s)
			if n < 0 {
				n = len(p.s)
			}
			p.s = p.s[n:]
		default:
			return
		}
	}
}

// word reads a token. It ends before the first character of stop.
func (p *parser) word(stop string) (string, error) {
	p.skip()
	n := 0
	for n < len(p.s) && isToken(p.s[n:n+1]) && strings.IndexByte(stop, p.s[n]) < 0 {
		n++
	}
	if n == 0 {
		return "", fmt.Errorf("expected a word, found %.20q", p.s)
	}
	w := p.s[:n]
	p.s = p.s[n:]
	return w, nil
}

// value reads a quoted string or a token. The token may also contain the
// characters of also.
func (p *parser) value(also string) (string, error) {
	p.skip()
	if p.s == "" || p.s[0] != '"' {
		n := 0
		for n < len(p.s) && (isToken(p.s[n:n+1]) || p.s[n] >= 0x80 || strings.IndexByte(also, p.s[n]) >= 0) {
			n++
		}
		if n == 0 {
			return "", fmt.Errorf("expected a value, found %.20q", p.s)
		}
		v := p.s[:n]
		p.s = p.s[n:]
		return v, nil
	}
	n := header.Quoted(p.s)
	if n < 0 {
		return "", errors.New("a quoted string is not closed")
	}
	v := header.Unquote(p.s[:n])
	p.s = p.s[n:]
	return v, nil
}
