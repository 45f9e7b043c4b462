package authres

import (
	"strings"
)

// A Result is the result of one authentication method (RFC 8601, 2.2).
type Result struct {
	Method string // spf, dkim, dmarc, arc, auth, iprev, ...
	Value  string // pass, fail, ...
	Reason string // explanation for people; may be empty
	// Comment is written in parentheses after Value; it may be empty.
	Comment string
	// Properties are written in their order. Those with an empty Value are
	// omitted.
	Properties []Property
}

// A Property is a value that a method has checked. Type "smtp", Name "mailfrom"
// and Value "example.org" are written as smtp.mailfrom=example.org.
type Property struct{ Type, Name, Value string }

// maxValue is the maximum number of bytes that are written of one value.
// maxResults is the maximum number of results in one field.
const (
	maxValue   = 255
	maxResults = 50
)

// Format returns an Authentication-Results field, folded, with its name and its
// final CRLF. No value can end the field or begin another one: characters that
// are not printable ASCII become "?". Format writes at most 50 results and at
// most 255 bytes of each value.
func Format(id string, results ...Result) string {
	return "Authentication-Results: " + Body(id, results...) + "\r\n"
}

// Body returns the same text as [Format], but without the field name and the
// final CRLF. An ARC-Authentication-Results field has this text after its i=
// tag.
func Body(id string, results ...Result) string {
	var b strings.Builder
	b.WriteString(value(id))
	if len(results) == 0 {
		b.WriteString("; none")
	}
	for _, r := range results[:min(len(results), maxResults)] {
		b.WriteString(";\r\n\t")
		r.write(&b)
	}
	return b.String()
}

// write writes one result, folded at 78 columns where possible.
func (r *Result) write(b *strings.Builder) {
	begin := b.Len() - 8 // a tab is 8 columns
	put := func(s string) {
		if b.Len()-begin+len(s) > 77 {
			b.WriteString("\r\n\t")
			begin = b.Len() - 8
		}
		b.WriteString(s)
	}
	b.WriteString(keyword(r.Method) + "=" + keyword(r.Value))
	if r.Comment != "" {
		put(" (" + comment(r.Comment) + ")")
	}
	if r.Reason != "" {
		put(" reason=" + quote(r.Reason))
	}
	for _, p := range r.Properties {
		if p.Value != "" {
			put(" " + keyword(p.Type) + "." + keyword(p.Name) + "=" + propertyValue(p.Value))
		}
	}
}

// keyword removes the characters that a Keyword (RFC 5321, 4.1.2) must not have.
func keyword(s string) string {
	k := strings.Map(func(r rune) rune {
		if 'a' <= r|0x20 && r|0x20 <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return -1
	}, s)
	if k == "" {
		return "unknown"
	}
	return k[:min(len(k), 64)]
}

// propertyValue returns a pvalue (RFC 8601, 2.2): a token, an address whose
// parts are tokens, or a quoted string.
func propertyValue(s string) string {
	if local, domain, found := strings.Cut(s, "@"); found && len(s) <= maxValue && (local == "" || isToken(local)) && isToken(domain) {
		return s
	}
	return value(s)
}

// value returns s as a token or as a quoted string.
func value(s string) string {
	if isToken(s) && len(s) <= maxValue {
		return s
	}
	return quote(s)
}

// isToken reports whether s is a token (RFC 2045, 5.1).
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// printable returns the first maxValue bytes of s. It replaces each byte that is
// not printable ASCII with "?".
func printable(s string) string {
	s = s[:min(len(s), maxValue)]
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// Quoted pairs (RFC 5322, 3.2.1).
var (
	quotedReplacer  = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	commentReplacer = strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`)
)

func quote(s string) string {
	return `"` + quotedReplacer.Replace(printable(s)) + `"`
}

func comment(s string) string {
	return commentReplacer.Replace(printable(s))
}
