package mimetree

import (
	"path"
	"strings"
	"unicode"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// maxNames bounds the names of a part. A part with more is unclear.
const maxNames = 200

// Names are all file names that a program may read in the part: filename and
// name, plain, in encoded-words, and in the form of RFC 2231; at most 200.
func (p *Part) Names() []string { return p.names }

// readNames finds the names, and notes whether one has a charset that is not
// known.
func (p *Part) readNames() []string {
	var names []string
	var seen map[string]bool
	add := func(name string) {
		if name == "" || seen[name] {
			return
		}
		if len(names) == maxNames {
			p.unclear = "header"
			return
		}
		if seen == nil {
			seen = make(map[string]bool)
		}
		seen[name] = true
		names = append(names, name)
	}
	decode := func(name string) {
		add(name)
		text, sure := decodeWords(name)
		p.unclearNames = p.unclearNames || !sure
		add(text)
	}
	for _, fields := range [...][]header.Params{p.dispositions, p.types} {
		for i := range fields {
			for _, base := range [...]string{"filename", "name"} {
				for _, q := range fields[i].List {
					if q.Name != base || len(names) == maxNames && p.unclear != "" {
						continue
					}
					decode(q.Value)
					decode(q.Other)
					decode(q.Raw)
					if strings.IndexByte(q.Value, '\\') >= 0 && q.Raw == "" { // without quotes
						decode(strings.ReplaceAll(q.Value, `\`, ""))
					}
				}
				for _, e := range fields[i].Extended(base) {
					text, sure := decodeCharset(e.Charset, e.Octets)
					p.unclearNames = p.unclearNames || !sure
					decode(text)
				}
			}
		}
	}
	return names
}

// Match says whether a file name matches a pattern of path.Match, whatever is
// done to it on the way to a disk: cut to its last element, without what
// cannot be seen, dots, spaces and quotes at its end, or what follows a NUL
// or, for Windows' streams, a colon. Upper and lower case are the same.
func Match(pattern, name string) bool {
	pattern = strings.ToLower(pattern)
	if len(name) > 2*maxName { // its beginning and its end decide
		name = name[:maxName] + name[len(name)-maxName:]
	}
	forms := [...]string{name, before(name, "\x00"), before(name, ":")}
	for i, n := range forms {
		if i > 0 && n == name {
			continue
		}
		if ok, _ := path.Match(pattern, baseName(n)); ok {
			return true
		}
	}
	return false
}

// maxName is more than file systems have.
const maxName = 512

func before(s, sep string) string {
	s, _, _ = strings.Cut(s, sep)
	return s
}

func baseName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.C, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, strings.ReplaceAll(name, `\`, "/"))
	return path.Base(strings.TrimRightFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune("./\"'", r)
	}))
}
