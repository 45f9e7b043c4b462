package mimetree

import (
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// Unclear returns the reason why mail programs may read other parts, other names or
// other bytes from the part than this package: "header", "media type", "boundary",
// "file name" or "transfer encoding". It returns "" if there is no such reason. Use
// it for checks that must not be evaded.
func (p *Part) Unclear() string {
	if p.unclear == "" && p.unclearCoding {
		return "transfer encoding"
	}
	return p.unclear
}

// UnclearTree returns what Unclear returns, but ignores the transfer encoding:
// the reason why programs may read other parts or other names.
func (p *Part) UnclearTree() string { return p.unclear }

// doubt sets the reasons why a part is unclear.
func (p *Part) doubt() {
	if p.unclear == "" {
		p.unclear = p.doubtHeader()
	}
	switch p.Encoding {
	case "", "7bit", "8bit", "binary", "7-bit", "8-bit", "base64", "quoted-printable":
		return
	}
	if !strings.HasPrefix(p.Type, "text/") || len(p.names) > 0 {
		p.unclearCoding = true
	}
}

func (p *Part) doubtHeader() string {
	for _, fs := range [...][]header.Params{p.types, p.dispositions} {
		for i := range fs {
			if fs[i].Cut {
				return "header"
			}
		}
	}
	b := p.boundary()
	for i := range p.types {
		f := &p.types[i]
		for t := range readings(f) {
			if t != p.Type && (strings.HasPrefix(t, "multipart") || strings.HasPrefix(t, "message") || !p.Leaf()) {
				return "media type"
			}
			if strings.HasPrefix(t, "multipart/") && !p.oneBoundary(f, b) {
				return "boundary"
			}
		}
	}
	if p.unclearNames {
		return "file name"
	}
	return ""
}

// oneBoundary reports whether b is the only boundary that programs may read from a
// field.
func (p *Part) oneBoundary(f *header.Params, b string) bool {
	if b == "" || len(b) > maxBoundary {
		return false
	}
	for _, q := range f.List {
		switch {
		case q.Name == "boundary" && (strings.TrimRight(q.Value, " \t") != b || q.Other != "" || q.Raw != ""):
			return false
		case strings.HasPrefix(q.Name, "boundary*"):
			es := f.Extended("boundary")
			if len(es) != 1 {
				return false
			}
			if e, sure := decodeCharset(es[0].Charset, es[0].Octets); !sure || e != b {
				return false
			}
		}
	}
	return true
}
