package taglist

import (
	"errors"
	"fmt"
	"strings"
)

// A Tag is one tag of a list. Its value has no white space at its ends.
type Tag struct {
	Name, Value string
	// Start and End are the position of the value in the text, including the white
	// space around it.
	Start, End int
}

// A List has the tags in the order of the text.
type List []Tag

// maxTags is the maximum number of tags. Valid lists have far fewer.
const maxTags = 100

// Parse parses the tag list of a signature. A name consists of letters, digits and
// underscores. A syntax error, a duplicate name or an empty tag makes the whole
// list invalid (RFC 6376, 3.2). One semicolon may end the list. A list of more
// than 100 tags is an error.
func Parse(s string) (List, error) { return parse(s, false) }

// ParseRecord parses the tag list of a DNS record. Unlike Parse, it ignores empty
// tags, because published records contain them.
func ParseRecord(s string) (List, error) { return parse(s, true) }

func parse(s string, allowEmpty bool) (List, error) {
	list := make(List, 0, min(strings.Count(s, ";")+1, maxTags))
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

// parseTag parses a tag. at is its offset in the list.
func parseTag(spec string, at int) (Tag, error) {
	name, value, found := strings.Cut(spec, "=")
	start := at + len(name) + 1
	if name = trim(name); !found || !isName(name) {
		return Tag{}, fmt.Errorf("%q is not a tag", short(trim(spec)))
	}
	return Tag{name, trim(value), start, at + len(spec)}, nil
}

// Get returns the value of a tag. found reports whether the list has the tag.
func (l List) Get(name string) (value string, found bool) {
	for i := range l {
		if l[i].Name == name {
			return l[i].Value, true
		}
	}
	return "", false
}

// Value returns the value of a tag, or "" if the list does not have it.
func (l List) Value(name string) string {
	v, _ := l.Get(name)
	return v
}

// Split splits a value at each sep and removes white space around the parts.
func Split(value, sep string) []string {
	parts := strings.Split(value, sep)
	for i := range parts {
		parts[i] = trim(parts[i])
	}
	return parts
}

// Compact returns the value without any white space, for example for base64.
func Compact(value string) string {
	at := 0
	for at < len(value) && !isBlank(value[at]) {
		at++
	}
	if at == len(value) {
		return value
	}
	b := make([]byte, at, len(value))
	copy(b, value)
	for ; at < len(value); at++ {
		if c := value[at]; !isBlank(c) {
			b = append(b, c)
		}
	}
	return string(b)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// trim is strings.Trim for white space. It does not make a set for each call.
func trim(s string) string {
	for s != "" && isBlank(s[0]) {
		s = s[1:]
	}
	for s != "" && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

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
