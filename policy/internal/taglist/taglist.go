package taglist

import (
	"errors"
	"fmt"
	"strings"
)

// A Tag is one of a list. Its value has no white space at its ends.
type Tag struct {
	Name, Value string
	// Start and End are where the value stands in the text, with the white
	// space around it.
	Start, End int
}

// A List is in the order of the text.
type List []Tag

// maxTags is far more than any list needs.
const maxTags = 100

// Parse reads the tag list of a signature. Names are letters, digits and
// underscores, and none comes twice: RFC 6376, 3.2 makes the whole list
// worthless then. Between two semicolons there is a tag; one semicolon may end
// the list.
func Parse(s string) (List, error) { return parse(s, false) }

// ParseRecord reads the tag list of a record in the DNS, as Parse does, but
// passes over empty tags: published records have them.
func ParseRecord(s string) (List, error) { return parse(s, true) }

func parse(s string, allowEmpty bool) (List, error) {
	var list List
	for at := 0; at < len(s); {
		end := len(s)
		if i := strings.IndexByte(s[at:], ';'); i >= 0 {
			end = at + i
		}
		switch spec := s[at:end]; {
		case trim(spec) != "":
			t, err := parseTag(spec, at)
			if err != nil {
				return nil, err
			}
			if _, twice := list.Get(t.Name); twice {
				return nil, fmt.Errorf("tag %s= appears twice", t.Name)
			}
			if len(list) == maxTags {
				return nil, errors.New("too many tags")
			}
			list = append(list, t)
		case end < len(s) && !allowEmpty:
			return nil, errors.New("a tag is empty")
		}
		at = end + 1
	}
	return list, nil
}

// parseTag reads a tag that stands at offset at of its list.
func parseTag(spec string, at int) (Tag, error) {
	name, value, found := strings.Cut(spec, "=")
	start := at + len(name) + 1
	if name = trim(name); !found || !isName(name) {
		return Tag{}, fmt.Errorf("%q is no tag", short(trim(spec)))
	}
	return Tag{name, trim(value), start, at + len(spec)}, nil
}

// Get is the value of a tag, and whether the tag is there.
func (l List) Get(name string) (string, bool) {
	for i := range l {
		if l[i].Name == name {
			return l[i].Value, true
		}
	}
	return "", false
}

// Value is the value of a tag, "" where it is not there.
func (l List) Value(name string) string {
	v, _ := l.Get(name)
	return v
}

// Split cuts a value at each sep and takes white space off the pieces.
func Split(value, sep string) []string {
	parts := strings.Split(value, sep)
	for i := range parts {
		parts[i] = trim(parts[i])
	}
	return parts
}

// Compact is the value without any white space, as for base64.
func Compact(value string) string {
	if !strings.ContainsAny(value, blanks) {
		return value
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(blanks, r) {
			return -1
		}
		return r
	}, value)
}

const blanks = " \t\r\n"

func trim(s string) string { return strings.Trim(s, blanks) }

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

func short(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}
