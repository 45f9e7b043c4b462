package mimetree

import (
	"bytes"
	"iter"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// maxFields is the maximum number of fields with the same name.
const maxFields = 10

// read parses the Content fields of the header.
func (p *Part) read(digest bool) {
	p.Type = "text/plain"
	if digest { // RFC 2046, 5.1.5
		p.Type = "message/rfc822"
	}
	broken := false // a line was not a field
	for f := range header.All(p.Header) {
		switch {
		case !header.StartsField(f):
			broken = true
			if mentionsContent(f) {
				p.unclear = "header"
			}
			continue
		case len(f) < 8 || !bytes.EqualFold(f[:8], []byte("Content-")):
			continue
		case broken:
			p.unclear = "header" // some programs end the header at the broken line
		}
		switch {
		case f.Is("Content-Type"):
			p.types = p.addField(p.types, f)
		case f.Is("Content-Disposition"):
			p.dispositions = p.addField(p.dispositions, f)
		case f.Is("Content-Transfer-Encoding"):
			e := header.ParseParams(f.Value()).Value
			if p.Encoding != "" && e != p.Encoding {
				p.unclearCoding = true
			} else {
				p.Encoding = e
			}
		}
	}
	if len(p.types) > 0 {
		// RFC 2045, 5.2: an invalid media type counts as text/plain.
		p.Type = "text/plain"
		if t, ok := p.types[0].MediaType(); ok {
			p.Type = t
		}
	}
	if len(p.dispositions) > 0 {
		for i, word := range strings.Fields(p.dispositions[0].Value) {
			if i == 0 {
				p.Disposition = word
			}
		}
	}
	p.names = p.readNames()
	p.doubt()
}

func (p *Part) addField(fs []header.Params, f header.Field) []header.Params {
	if len(fs) == maxFields {
		p.unclear = "header"
		return fs
	}
	return append(fs, header.ParseParams(f.Value()))
}

// mentionsContent reports whether a program may read a Content- field from a line
// that is not a field: the line may be folded before its colon or at its
// beginning, or have an invalid character in the name.
func mentionsContent(line []byte) bool {
	return bytes.Contains(bytes.ToLower(line), []byte("content"))
}

// Types returns all media types that programs may read from the Content-Type
// fields of the part. The first one is p.Type.
func (p *Part) Types() []string {
	ts := []string{p.Type}
	for i := range p.types {
		for t := range readings(&p.types[i]) {
			if !slices.Contains(ts, t) {
				ts = append(ts, t)
			}
		}
	}
	return ts
}

// readings returns the media types that programs may read from a field. For an
// invalid field these include its first word and the whole value.
func readings(f *header.Params) iter.Seq[string] {
	return func(yield func(string) bool) {
		if t, ok := f.MediaType(); ok {
			yield(t)
			return
		}
		word, _, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(f.Value, "\t", " ")), " ")
		_ = yield("text/plain") && (word == f.Value || yield(word)) && yield(f.Value)
	}
}

// Param returns a parameter of the part's Content-Type, or "" if there is none.
func (p *Part) Param(name string) string {
	for i := range p.types {
		if v := p.types[i].Get(name); v != "" {
			return v
		}
	}
	return ""
}

// boundary returns the boundary parameter of the first Content-Type field, also
// in the form of RFC 2231.
func (p *Part) boundary() string {
	if len(p.types) == 0 {
		return ""
	}
	f := &p.types[0]
	b := f.Get("boundary")
	if b == "" {
		if es := f.Extended("boundary"); len(es) > 0 {
			b, _ = decodeCharset(es[0].Charset, es[0].Octets)
		}
	}
	return strings.TrimRight(b, " \t")
}
