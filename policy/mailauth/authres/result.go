package authres

import (
	"strings"
)

// A Result is what one method has found (RFC 8601, 2.2).
type Result struct {
	Method string // spf, dkim, dmarc, arc, auth, iprev, ...
	Value  string // pass, fail, ...
	Reason string // for people; may be empty
	// Comment stands in parentheses behind the value.
	Comment    string
	Properties []Property
}

// A Property is what a method has looked at: smtp.mailfrom=example.org.
type Property struct{ Type, Name, Value string }

// maxValue bounds what is written of one value, maxResults the results of one
// field.
const (
	maxValue   = 255
	maxResults = 50
)

// Format writes the field, folded, with its name and its CRLF. Whatever the
// values hold, no more than one field comes of it.
func Format(id string, results ...Result) string {
	return "Authentication-Results: " + Body(id, results...) + "\r\n"
}

// Body is Format without the field's name and the CRLF at its end: what an
// ARC-Authentication-Results field holds behind its i= tag.
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

// write writes one result, folded at 78 columns where it can be.
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

// keyword keeps what a Keyword may have (RFC 5321, 4.1.2).
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

// propertyValue is a pvalue: a token, or an address with a token's characters
// beside the @, or a quoted string.
func propertyValue(s string) string {
	if local, domain, found := strings.Cut(s, "@"); found && len(s) <= maxValue && (local == "" || isToken(local)) && isToken(domain) {
		return s
	}
	return value(s)
}

// value is a token or a quoted string.
func value(s string) string {
	if isToken(s) && len(s) <= maxValue {
		return s
	}
	return quote(s)
}

// isToken: RFC 2045, 5.1.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// printable cuts a text to size and replaces what is not printable ASCII.
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

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(printable(s)) + `"`
}

func comment(s string) string {
	return strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(printable(s))
}
