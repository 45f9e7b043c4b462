package mimetree

import (
	"path"
	"strings"
	"unicode"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// maxNames is the maximum number of names of a part. A part with more is unclear.
const maxNames = 200

// Names returns all file names that a program may read from the part, at most 200.
// They come from the parameters filename and name, as plain text, as encoded-words
// (RFC 2047), and in the form of RFC 2231.
func (p *Part) Names() []string { return p.names }

// readNames returns the names. It sets unclearNames if a name has an unknown
// charset.
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

// Match reports whether a file name matches a pattern of path.Match. It ignores
// letter case. It also matches the names that programs may derive from the name
// when they save the file: the last path element, without invisible characters,
// without dots, spaces and quotes at the end, without the text after a NUL, and
// without the text after a colon (a stream on Windows).
func Match(pattern, name string) bool {
	pattern = strings.ToLower(pattern)
	if len(name) > 2*maxName { // only the beginning and the end are compared
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

// maxName is longer than the longest name in common file systems.
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
