package mimetree

import (
	"bytes"
	"iter"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// maxFields bounds the fields of a kind.
const maxFields = 10

// read takes from the header what the tree needs.
func (p *Part) read(digest bool) {
	p.Type = "text/plain"
	if digest { // RFC 2046, 5.1.5
		p.Type = "message/rfc822"
	}
	broken := false // a line was no field
	for f := range header.All(p.Header) {
		switch {
		case f.Name() == "":
			broken = true
			if mentionsContent(f) {
				p.unclear = "header"
			}
			continue
		case len(f) < 8 || !bytes.EqualFold(f[:8], []byte("Content-")):
			continue
		case broken:
			p.unclear = "header" // for some programs the header ended before
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
		// RFC 2045, 5.2: what is no media type counts as text/plain.
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

// mentionsContent says whether some program may find a Content- field in a line
// that is no field: one that is folded before its colon or at its beginning, or
// that has a character in its name that a name cannot have.
func mentionsContent(line []byte) bool {
	return bytes.Contains(bytes.ToLower(line), []byte("content"))
}

// Types are the media types that programs may read in the Content-Type fields
// of the part. The first is Type.
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

// readings are the media types that programs may read in a field: of one that
// is not valid its first word and the whole value.
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

// Param is a parameter of the part's Content-Type, "" where there is none.
func (p *Part) Param(name string) string {
	for i := range p.types {
		if v := p.types[i].Get(name); v != "" {
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
	b := f.Get("boundary")
	if b == "" {
		if es := f.Extended("boundary"); len(es) > 0 {
			b, _ = decodeCharset(es[0].Charset, es[0].Octets)
		}
	}
	return strings.TrimRight(b, " \t")
}
