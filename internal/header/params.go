package header

import (
	"strconv"
	"strings"
)

// Params is the value of a field with parameters, such as Content-Type and
// Content-Disposition (RFC 2045, 5.1; RFC 2183).
type Params struct {
	// Value is the text before the first parameter, in lower case.
	Value string
	// List contains the parameters in the order in which they are written. If
	// programs interpret a part of the field in several ways, List contains the
	// results of all of them: parentheses as comments and as parts of a value;
	// a backslash before a quote as an escape and as a character; text after a
	// missing semicolon as part of a value and as another parameter.
	List []Param
	// Cut is true if there are more than MaxParams parameters. List does not
	// contain the others.
	Cut bool
}

// A Param is a parameter of a field.
type Param struct {
	Name  string // lower case, with the suffixes of RFC 2231: "filename*0*"
	Value string
	// Other is the value as some programs read it if it is malformed: only the
	// first word if it has no quotes, or together with the text after the
	// closing quote. It is empty if all programs read Value.
	Other string
	// Raw is the value as some programs read a quoted string with backslashes,
	// such as "C:\dir\file.txt": with all backslashes. It is empty if there are
	// none.
	Raw string
}

// MaxParams is the largest number of parameters that are read from a field.
const MaxParams = 100

// ParseParams parses the unfolded value of a field. It accepts every value. If
// the value is malformed, it returns the common interpretations.
func ParseParams(value string) (p Params) {
	plain := withoutComments(value)
	v, params, _ := strings.Cut(plain, ";")
	p.Value = strings.ToLower(strings.TrimSpace(v))
	if strings.IndexByte(v, '=') >= 0 { // the semicolon after the first word is missing
		p.add(afterWord(v), false)
	}
	p.add(params, false)
	if plain != value {
		_, params, _ = strings.Cut(value, ";")
		p.add(params, false)
	}
	if strings.Contains(value, `\"`) {
		_, params, _ = strings.Cut(value, ";")
		p.add(params, true)
	}
	return p
}

// afterWord returns s without its first word, unless that is a parameter.
func afterWord(s string) string {
	s = strings.TrimLeft(s, " \t\r\n")
	i := strings.IndexAny(s, " \t\r\n=")
	if i < 0 || s[i] == '=' {
		return s
	}
	return s[i:]
}

// MediaType returns Value if it is a media type, "type/subtype" (RFC 2045,
// 5.1). If it is not, a Content-Type field counts as text/plain (RFC 2045,
// 5.2).
func (p *Params) MediaType() (mediaType string, ok bool) {
	typ, subtype, _ := strings.Cut(p.Value, "/")
	if !isMIMEToken(typ) || !isMIMEToken(subtype) {
		return "", false
	}
	return p.Value, true
}

// isMIMEToken reports whether s is a token (RFC 2045, 5.1).
func isMIMEToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}

// Get returns the value of the first parameter with that name that is not
// empty, or "". It does not find the form of RFC 2231; see [Params.Extended].
func (p *Params) Get(name string) string {
	for _, q := range p.List {
		if q.Name == name && q.Value != "" {
			return q.Value
		}
	}
	return ""
}

// An ExtendedValue is the value of a parameter in the form of RFC 2231.
type ExtendedValue struct {
	Charset string // as written, "" if there is none
	Octets  string // in that charset
}

// Extended returns the value of the parameter with that name in the form of RFC
// 2231: name*, name*0, name*1*, and so on. It returns nil if there is none. If
// pieces are missing or repeated, programs interpret them differently, and it
// returns two values.
func (p *Params) Extended(name string) []ExtendedValue {
	var first, last [MaxParams]*Param
	found := false
	for i := range p.List {
		q := &p.List[i]
		rest, ok := strings.CutPrefix(q.Name, name+"*")
		if !ok {
			continue
		}
		number := strings.TrimSuffix(rest, "*")
		if rest == "" {
			number = "0"
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n >= MaxParams {
			continue
		}
		found = true
		last[n] = q
		if first[n] == nil {
			first[n] = q
		}
	}
	if !found {
		return nil
	}
	strict := join(first[:], true)
	if loose := join(last[:], false); loose != strict {
		return []ExtendedValue{strict, loose}
	}
	return []ExtendedValue{strict}
}

// join concatenates the pieces; with strict only those before the first gap.
func join(pieces []*Param, strict bool) (v ExtendedValue) {
	var b strings.Builder
	for n, q := range pieces {
		if q == nil && strict {
			break
		}
		if q == nil {
			continue
		}
		s := q.Value
		if strings.HasSuffix(q.Name, "*") { // percent-encoded
			if parts := strings.SplitN(s, "'", 3); n == 0 && len(parts) == 3 {
				v.Charset, s = parts[0], parts[2]
			}
			if strict {
				s = unpercent(s)
			}
		}
		b.WriteString(s)
	}
	v.Octets = b.String()
	if !strict {
		v.Octets = unpercent(v.Octets) // an octet may be split between two pieces
	}
	return v
}

// unpercent decodes %XX. It does not change invalid escapes.
func unpercent(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// add parses "name=value; ...". If literal is set, a backslash is a normal
// character.
func (p *Params) add(s string, literal bool) {
	for {
		s = strings.TrimLeft(s, "; \t\r\n")
		i := strings.IndexAny(s, "=;")
		if i < 0 {
			return
		}
		if s[i] == ';' {
			s = s[i:]
			continue
		}
		name := strings.TrimRight(s[:i], " \t\r\n")
		var words []string
		if !isMIMEToken(name) { // it may contain white space
			words = strings.Fields(name)
			name = strings.Join(words, "")
		}
		q := Param{Name: strings.ToLower(name)}
		s = q.read(strings.TrimLeft(s[i+1:], " \t\r\n"), literal)
		if !p.append(q) {
			return
		}
		if len(words) > 1 { // the words before the last one may not belong to the name
			q.Name = strings.ToLower(words[len(words)-1])
			if !p.append(q) {
				return
			}
		}
	}
}

func (p *Params) append(q Param) bool {
	if len(p.List) == MaxParams {
		p.Cut = true
		return false
	}
	p.List = append(p.List, q)
	return true
}

// read parses a value at the start of s: a quoted string, or the text up to the
// next semicolon. It returns the text in which the next parameter may begin:
// after the semicolon, or before it if there is an equals sign before it.
func (q *Param) read(s string, literal bool) (rest string) {
	n := Quoted(s)
	if n != 0 && literal {
		n = strings.IndexByte(s[1:], '"') + 2
		if n == 1 {
			n = -1
		}
	}
	switch {
	case n == 0:
		var v string
		v, rest, _ = strings.Cut(s, ";")
		q.Value = strings.TrimSpace(v)
		if i := strings.IndexAny(q.Value, " \t("); i >= 0 {
			q.Other = q.Value[:i]
			if strings.IndexByte(q.Value[i:], '=') >= 0 {
				return s[i:]
			}
		}
		return rest
	case n < 0: // the quoted string has no end
		q.quoted(s[1:], literal)
		return ""
	}
	q.quoted(s[1:n-1], literal)
	junk, rest, _ := strings.Cut(s[n:], ";")
	if junk := strings.ReplaceAll(strings.TrimSpace(junk), `"`, ""); junk != "" {
		q.Other = q.Value + junk
	}
	if strings.IndexByte(junk, '=') >= 0 {
		return s[n:]
	}
	return rest
}

// quoted sets the value to the content of a quoted string.
func (q *Param) quoted(s string, literal bool) {
	q.Value = Unfold(s)
	if strings.IndexByte(s, '\\') >= 0 && !literal {
		q.Value, q.Raw = unescape(q.Value), q.Value
	}
}

// withoutComments removes comments. It does not remove a comment without an
// end.
func withoutComments(s string) string {
	if strings.IndexByte(s, '(') < 0 {
		return s
	}
	var b strings.Builder
	start := 0
	for i := 0; i < len(s); {
		switch s[i] {
		case '\\':
			i += 2
		case '"':
			n := Quoted(s[i:])
			if n < 0 {
				return b.String() + s[start:]
			}
			i += n
		case '(':
			n := Comment(s[i:])
			if n < 0 {
				return b.String() + s[start:]
			}
			b.WriteString(s[start:i])
			i += n
			start = i
		default:
			i++
		}
	}
	return b.String() + s[start:]
}
