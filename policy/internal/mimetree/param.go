package mimetree

import (
	"bytes"
	"slices"
	"strings"
)

// A field is a value with parameters: Content-Type and its like.
type field struct {
	value  string // lower case
	params []param
	cut    bool // there are more
}

// get is the first parameter of that name that is not empty.
func (f *field) get(key string) string {
	for _, q := range f.params {
		if q.key == key && q.value != "" {
			return q.value
		}
	}
	return ""
}

// Fields cuts a raw header into its fields, each with its folding.
func Fields(raw []byte) (fs [][]byte) {
	for len(raw) > 0 {
		n := fieldLen(raw)
		fs = append(fs, raw[:n])
		raw = raw[n:]
	}
	return fs
}

func fieldLen(b []byte) int {
	for n := 0; ; {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			return len(b)
		}
		if n += i + 1; n == len(b) || b[n] != ' ' && b[n] != '\t' {
			return n
		}
	}
}

func unfold(v []byte) string {
	v = bytes.TrimSpace(v)
	if bytes.IndexByte(v, '\n') < 0 {
		return string(v)
	}
	return string(bytes.ReplaceAll(bytes.ReplaceAll(v, []byte("\r\n"), nil), []byte("\n"), nil))
}

// read takes from the header what the tree needs.
func (p *Part) read(digest bool) {
	p.Type = "text/plain"
	if digest { // RFC 2046, 5.1.5
		p.Type = "message/rfc822"
	}
	for rest := p.Header; len(rest) > 0; {
		n := fieldLen(rest)
		name, value, ok := bytes.Cut(rest[:n], []byte{':'})
		rest = rest[n:]
		if !ok || len(name) < 8 || !bytes.EqualFold(name[:8], []byte("Content-")) {
			continue
		}
		switch name = bytes.TrimRight(name[8:], " \t"); {
		case bytes.EqualFold(name, []byte("Type")):
			p.types = p.addField(p.types, value)
		case bytes.EqualFold(name, []byte("Disposition")):
			p.dispositions = p.addField(p.dispositions, value)
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			e := parseValue(unfold(value)).value
			if p.Encoding != "" && e != p.Encoding {
				p.unclear = "transfer encoding"
			} else {
				p.Encoding = e
			}
		}
	}
	if len(p.types) > 0 && p.types[0].value != "" {
		p.Type = p.types[0].value
	}
	if len(p.dispositions) > 0 {
		p.Disposition = p.dispositions[0].value
	}
	if p.unclear == "" {
		p.unclear = p.doubt()
	}
}

func (p *Part) addField(fs []field, value []byte) []field {
	if len(fs) == maxFields {
		p.unclear = "header"
		return fs
	}
	return append(fs, parseValue(unfold(value)))
}

// Unclear says in a word or two what of the part readers of mail may take in
// ways that lead to other parts or other bytes than are seen here; "" where
// all is well. It is for those who must not miss anything.
func (p *Part) Unclear() string { return p.unclear }

// doubt looks for what would make Unclear.
func (p *Part) doubt() string {
	for _, fs := range [...][]field{p.types, p.dispositions} {
		for i := range fs {
			if fs[i].cut {
				return "header"
			}
		}
	}
	b := p.boundary()
	for i := range p.types {
		f := &p.types[i]
		multipart := strings.HasPrefix(f.value, "multipart/")
		switch {
		case f.value != p.types[0].value && (multipart || strings.HasPrefix(f.value, "message/") || !p.Leaf()):
			return "media type"
		case multipart && (b == "" || len(b) > maxBoundary):
			return "boundary"
		}
		for _, q := range f.params {
			other := q.key == "boundary" && (strings.TrimRight(q.value, " \t") != b || q.other != "")
			if multipart && (other || strings.HasPrefix(q.key, "boundary*") && !slices.Equal(extended(f.params, "boundary"), []string{b})) {
				return "boundary"
			}
		}
	}
	switch p.Encoding {
	case "", "7bit", "8bit", "binary", "7-bit", "8-bit", "base64", "quoted-printable":
		return ""
	}
	if strings.HasPrefix(p.Type, "text/") && len(p.Names()) == 0 {
		return ""
	}
	return "transfer encoding"
}

// Types are the media types of all Content-Type fields that the part has.
func (p *Part) Types() []string {
	ts := []string{p.Type}
	for _, f := range p.types {
		if f.value != "" && !slices.Contains(ts, f.value) {
			ts = append(ts, f.value)
		}
	}
	return ts
}

// Param is a parameter of the part's Content-Type, "" where there is none.
func (p *Part) Param(name string) string {
	for i := range p.types {
		if v := p.types[i].get(name); v != "" {
			return v
		}
	}
	return ""
}

// boundary is that of the field that makes the part a multipart, also in the
// form of RFC 2231.
func (p *Part) boundary() string {
	if len(p.types) == 0 {
		return ""
	}
	f := &p.types[0]
	b := f.get("boundary")
	if b == "" {
		if es := extended(f.params, "boundary"); len(es) > 0 {
			b = es[0]
		}
	}
	return strings.TrimRight(b, " \t")
}

// A param is a parameter; other is another reading of its value, where it is
// not written as it ought to be.
type param struct{ key, value, other string }

// maxParams bounds the parameters of a field, maxFields the fields of a kind.
const (
	maxParams = 100
	maxFields = 10
)

// parseValue reads "value; key=value; ...", with what people write in place of
// it: no quotes where they are due, comments, empty parameters. Where there
// are parentheses, they may be comments or belong to a value: both readings
// are there then.
func parseValue(s string) (f field) {
	plain := withoutComments(s)
	value, params, _ := strings.Cut(plain, ";")
	f.value = strings.ToLower(strings.TrimSpace(value))
	f.addParams(params)
	if plain != s {
		_, params, _ = strings.Cut(s, ";")
		f.addParams(params)
	}
	return f
}

func (f *field) addParams(s string) {
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
		if len(f.params) == maxParams {
			f.cut = true
			return
		}
		q := param{key: strings.ToLower(strings.Join(strings.Fields(s[:i]), ""))}
		q.value, q.other, s = paramValue(strings.TrimLeft(s[i+1:], " \t\r\n"))
		f.params = append(f.params, q)
	}
}

// withoutComments takes out comments (RFC 5322, 3.2.2), which nest; one that
// is not closed is none.
func withoutComments(s string) string {
	if strings.IndexByte(s, '(') < 0 {
		return s
	}
	var b strings.Builder
	depth, start, quoted := 0, 0, false // start of what is to be kept, or of the comment
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			if depth++; depth == 1 {
				b.WriteString(s[start:i])
				start = i
			}
		case c == ')' && depth > 0:
			if depth--; depth == 0 {
				start = i + 1
			}
		}
	}
	return b.String() + s[min(start, len(s)):]
}

// paramValue reads a quoted string, or all up to the next semicolon. Of what
// stands without quotes, some readers take the first word only; and what
// follows a quoted string, some take for a part of it.
func paramValue(s string) (value, other, rest string) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		value = strings.TrimSpace(value)
		if i := strings.IndexAny(value, " \t("); i >= 0 {
			other = value[:i]
		}
		return value, other, rest
	}
	b := make([]byte, 0, 64)
	i := 1
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	if i < len(s) {
		i++
	}
	value = string(b)
	junk, rest, _ := strings.Cut(s[i:], ";")
	if junk = strings.ReplaceAll(strings.TrimSpace(junk), `"`, ""); junk != "" {
		other = value + junk
	}
	return value, other, rest
}
