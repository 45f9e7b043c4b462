package metrics_test

import (
	"fmt"
	"strconv"
	"strings"
)

// A scrape has the samples of an exposition by name and labels, for example
// `smtpd_replies_total{code="250"}`, without the prefix of all names. It has the types
// of the families too.
type scrape struct {
	values map[string]float64
	types  map[string]string
}

// parse reads an exposition strictly: each family has HELP, TYPE and then its samples,
// and no family or sample is there twice.
func parse(text string) (*scrape, error) {
	s := &scrape{values: map[string]float64{}, types: map[string]string{}}
	family := ""
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		fail := func(what string) (*scrape, error) { return nil, fmt.Errorf("line %d: %s: %q", n+1, what, line) }
		switch words := strings.SplitN(line, " ", 4); {
		case line == "# EOF":
			if n+1 != strings.Count(text, "\n") {
				return fail("not the last line")
			}
		case strings.HasPrefix(line, "# HELP "):
			if family = words[2]; len(words) < 4 || s.types[family] != "" {
				return fail("no text, or the family is there twice")
			}
		case strings.HasPrefix(line, "# TYPE "):
			if words[2] != family {
				return fail("not after its HELP")
			}
			s.types[family] = words[3]
		case strings.HasPrefix(line, "#"):
			return fail("an unknown comment")
		default:
			name, labels, number, err := parseSample(line)
			if err != nil {
				return fail(err.Error())
			}
			if !strings.HasPrefix(name, family) {
				return fail("not in family " + family)
			}
			id := strings.TrimPrefix(name, "bridgehead_")
			separator := "{"
			for _, l := range labels {
				id += separator + l[0] + "=" + strconv.Quote(l[1])
				separator = ","
			}
			if len(labels) > 0 {
				id += "}"
			}
			if _, twice := s.values[id]; twice {
				return fail("the sample is there twice")
			}
			v, err := strconv.ParseFloat(number, 64)
			if err != nil {
				return fail("not a number")
			}
			s.values[id] = v
		}
	}
	return s, nil
}

// parseSample splits a line into name, labels and number.
func parseSample(line string) (name string, labels [][2]string, number string, err error) {
	end := strings.IndexAny(line, "{ ")
	if end < 0 {
		return "", nil, "", fmt.Errorf("no value")
	}
	name, line = line[:end], line[end:]
	if line, more := strings.CutPrefix(line, "{"); more {
		for {
			label, rest, ok := strings.Cut(line, `="`)
			if !ok {
				return "", nil, "", fmt.Errorf("no label")
			}
			value, rest, ok := unquote(rest)
			if !ok {
				return "", nil, "", fmt.Errorf("a value without an end")
			}
			labels = append(labels, [2]string{label, value})
			if rest, ok = strings.CutPrefix(rest, ","); ok {
				line = rest
				continue
			}
			if rest, ok = strings.CutPrefix(rest, "} "); !ok {
				return "", nil, "", fmt.Errorf("no end of the labels")
			}
			return name, labels, rest, nil
		}
	}
	return name, nil, line[1:], nil
}

// unquote reads a value up to its closing quote.
func unquote(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case '\\', '"':
				b.WriteByte(s[i])
			default:
				return "", "", false
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
