package authres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// Parse reads the value of an Authentication-Results field. Comments are
// passed over; the results of methods that it does not know are there too.
func Parse(field string) (id string, results []Result, err error) {
	p := &parser{s: field}
	id, err = p.value("")
	if err != nil {
		return "", nil, fmt.Errorf("authres: authserv-id: %w", err)
	}
	if p.skip(); p.s != "" && p.s[0] != ';' {
		if v, err := p.value(""); err != nil || strings.Trim(v, "0123456789") != "" {
			return id, nil, errors.New("authres: more than an authserv-id and a version before the first result")
		}
	}
	for {
		p.skip()
		if p.s == "" {
			return id, results, nil
		}
		if p.s[0] != ';' {
			return id, results, fmt.Errorf("authres: %.20q where a result ought to begin", p.s)
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

// ServerID is the authserv-id alone, in the form in which domains are
// compared: lower case, A-labels, without white space, a dot at its end or
// what cannot be seen. It is an error where it cannot be told.
func ServerID(field string) (string, error) {
	p := &parser{s: field}
	id, err := p.value("")
	if err == nil {
		p.skip()
		if p.s != "" && p.s[0] != ';' && (p.s[0] < '0' || p.s[0] > '9') {
			err = errors.New("authres: the authserv-id cannot be told")
		}
	}
	if err != nil {
		return "", err
	}
	return canonical(id)
}

// canonical makes one id of all that readers may take for it.
func canonical(id string) (string, error) {
	if !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return strings.ToLower(strings.TrimSuffix(id, ".")), nil
	}
	d, err := addr.Domain(strings.TrimSpace(id))
	if err != nil {
		return "", fmt.Errorf("authres: the authserv-id cannot be told: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSpace(d), "."), nil
}

type parser struct{ s string }

// result reads resinfo (RFC 8601, 2.2) after its semicolon.
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

// property reads reason="..." or ptype.name=value.
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

// skip passes over white space and comments. A comment that is not closed
// takes the rest.
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

// word reads a token that ends before one of stop.
func (p *parser) word(stop string) (string, error) {
	p.skip()
	n := 0
	for n < len(p.s) && isToken(p.s[n:n+1]) && strings.IndexByte(stop, p.s[n]) < 0 {
		n++
	}
	if n == 0 {
		return "", fmt.Errorf("%.20q where a word ought to be", p.s)
	}
	w := p.s[:n]
	p.s = p.s[n:]
	return w, nil
}

// value reads a token, in which the characters of also may stand too, or a
// quoted string.
func (p *parser) value(also string) (string, error) {
	p.skip()
	if p.s == "" || p.s[0] != '"' {
		n := 0
		for n < len(p.s) && (isToken(p.s[n:n+1]) || p.s[n] >= 0x80 || strings.IndexByte(also, p.s[n]) >= 0) {
			n++
		}
		if n == 0 {
			return "", fmt.Errorf("%.20q where a value ought to be", p.s)
		}
		v := p.s[:n]
		p.s = p.s[n:]
		return v, nil
	}
	n := header.Quoted(p.s)
	if n < 0 {
		return "", errors.New("a quoted string that is not closed")
	}
	v := header.Unquote(p.s[:n])
	p.s = p.s[n:]
	return v, nil
}
