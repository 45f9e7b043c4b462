package mimetree

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

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
						add(DecodeWords(q.value))
						add(q.other)
					}
				}
				for _, n := range extended(f.params, base) {
					add(n)
				}
			}
		}
	}
	return names
}

// extended puts together a parameter in the form of RFC 2231: key*=, key*0=,
// key*0*=, ... Where pieces are missing or stand twice, readers differ; so
// there are two readings then.
func extended(params []param, base string) []string {
	var first, last [maxParams]*param
	found := false
	for i := range params {
		q := &params[i]
		rest, ok := strings.CutPrefix(q.key, base+"*")
		if !ok {
			continue
		}
		number := strings.TrimSuffix(rest, "*")
		if rest == "" {
			number = "0"
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n >= maxParams {
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
	strict := pieces(first[:], base, true)
	if loose := pieces(last[:], base, false); loose != strict {
		return []string{strict, loose}
	}
	return []string{strict}
}

// pieces joins what there is, or, where it is strict, up to the first gap.
func pieces(qs []*param, base string, strict bool) string {
	var b strings.Builder
	charset := ""
	for n, q := range qs {
		if q == nil && strict {
			break
		}
		if q == nil {
			continue
		}
		v := q.value
		if strings.HasSuffix(q.key, "*") { // coded
			if parts := strings.SplitN(v, "'", 3); n == 0 && len(parts) == 3 {
				charset, v = parts[0], parts[2]
			}
			if strict {
				v = unescape(v, '%')
			}
		}
		b.WriteString(v)
	}
	s := b.String()
	if !strict {
		s = unescape(s, '%') // an octet may be torn apart between two pieces
	}
	return decodeCharset(charset, s)
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
