package mimetree

import (
	"bytes"
	"io"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// A field is a value with parameters: Content-Type and its like.
type field struct {
	value  string // lower case
	params []param
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
			p.types = append(p.types, parseValue(unfold(value)))
		case bytes.EqualFold(name, []byte("Disposition")):
			p.dispositions = append(p.dispositions, parseValue(unfold(value)))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")) && p.Encoding == "":
			p.Encoding = parseValue(unfold(value)).value
		}
	}
	if len(p.types) > 0 && p.types[0].value != "" {
		p.Type = p.types[0].value
	}
	if len(p.dispositions) > 0 {
		p.Disposition = p.dispositions[0].value
	}
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
	for _, f := range p.types {
		for _, q := range f.params {
			if q.key == name {
				return q.value
			}
		}
	}
	return ""
}

// Names are all file names that a reader of the mail may see in the part:
// filename and name, plain, in encoded-words, and in the form of RFC 2231.
func (p *Part) Names() []string {
	var names []string
	add := func(n string) {
		if n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	for _, fields := range [...][]field{p.dispositions, p.types} {
		for _, f := range fields {
			for _, base := range [...]string{"filename", "name"} {
				for _, q := range f.params {
					if q.key == base {
						add(q.value)
						add(decodeWords(q.value))
					}
				}
				add(extended(f.params, base))
			}
		}
	}
	return names
}

type param struct{ key, value string }

const maxParams = 200

// parseValue reads "value; key=value; ...", with what people write in place of
// it: no quotes where they are due, comments, empty parameters.
func parseValue(s string) (f field) {
	value, s, _ := strings.Cut(s, ";")
	f.value = strings.ToLower(strings.TrimSpace(cutComment(value)))
	for len(f.params) < maxParams {
		s = strings.TrimLeft(s, "; \t\r\n")
		if s == "" {
			break
		}
		i := strings.IndexAny(s, "=;")
		if i < 0 {
			break
		}
		if s[i] == ';' {
			s = s[i:]
			continue
		}
		key := strings.ToLower(strings.TrimSpace(s[:i]))
		var v string
		v, s = paramValue(strings.TrimLeft(s[i+1:], " \t\r\n"))
		f.params = append(f.params, param{key, v})
	}
	return f
}

func cutComment(v string) string {
	v, _, _ = strings.Cut(v, "(")
	return v
}

// paramValue reads a quoted string, or all up to the next semicolon.
func paramValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		return strings.TrimSpace(value), rest
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
	rest = s[i:]
	if _, after, ok := strings.Cut(rest, ";"); ok {
		rest = after
	} else {
		rest = ""
	}
	return string(b), rest
}

// extended puts together a parameter in the form of RFC 2231: key*=, key*0=,
// key*0*=, ...
func extended(params []param, base string) string {
	if !slices.ContainsFunc(params, func(q param) bool { return strings.HasPrefix(q.key, base+"*") }) {
		return ""
	}
	var pieces [maxParams]struct {
		set, coded bool
		value      string
	}
	for _, q := range params {
		rest, ok := strings.CutPrefix(q.key, base+"*")
		if !ok {
			continue
		}
		number, coded := strings.CutSuffix(rest, "*")
		if rest == "" {
			number, coded = "0", true
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n >= maxParams || pieces[n].set {
			continue
		}
		pieces[n].set, pieces[n].coded, pieces[n].value = true, coded, q.value
	}
	var b strings.Builder
	charset := ""
	for n := 0; n < maxParams && pieces[n].set; n++ {
		v := pieces[n].value
		if pieces[n].coded {
			if n == 0 {
				if parts := strings.SplitN(v, "'", 3); len(parts) == 3 {
					charset, v = parts[0], parts[2]
				}
			}
			if u, err := url.PathUnescape(v); err == nil {
				v = u
			}
		}
		b.WriteString(v)
	}
	return decodeCharset(charset, b.String())
}

func decodeCharset(charset, s string) string {
	if e, err := htmlindex.Get(charset); err == nil {
		if u, err := e.NewDecoder().String(s); err == nil {
			return u
		}
	}
	return s
}

// CharsetReader makes UTF-8 of a charset, as mime.WordDecoder wants it.
func CharsetReader(charset string, r io.Reader) (io.Reader, error) {
	e, err := htmlindex.Get(charset)
	if err != nil {
		return nil, err
	}
	return e.NewDecoder().Reader(r), nil
}

// decodeWords reads encoded-words (RFC 2047), which stand in names although
// they may not.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	d := mime.WordDecoder{CharsetReader: CharsetReader}
	if u, err := d.DecodeHeader(s); err == nil {
		return u
	}
	return s
}
