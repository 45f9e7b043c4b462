package program

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Records is the value of a setting whose values have fields, such as domains with
// their recipients. On the command line, a semicolon separates the fields. The first
// one needs no name. The flag is repeated for more values:
//
//	-domains "example.com; kind=internal relay; recipients=alice,bob"
//
// In a configuration file, each value is an element of a sequence: a mapping, or the
// same text as on the command line. A fault names the field: "domains[0].kind".
type Records struct {
	Fields []string // the names of the fields that have one value; first the main one
	Lists  []string // the names of the fields that have several values
	All    []Record
}

// A Record is one value of Records: its fields.
type Record map[string][]string

// Has reports whether the record has a field, which may be empty if it is a list.
func (r Record) Has(field string) bool { _, has := r[field]; return has }

// Get returns the value of a field; "" if the record does not have it.
func (r Record) Get(field string) string {
	if len(r[field]) == 0 {
		return ""
	}
	return r[field][0]
}

// String implements flag.Value.
func (r *Records) String() string {
	var texts []string
	for _, one := range r.All {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(one)) {
			parts = append(parts, name+"="+strings.Join(one[name], ","))
		}
		texts = append(texts, strings.Join(parts, "; "))
	}
	return strings.Join(texts, "\n")
}

// Set implements flag.Value. It parses one record.
func (r *Records) Set(text string) error {
	one := make(Record)
	for i, part := range strings.Split(text, ";") {
		name, value, found := strings.Cut(part, "=")
		if !found && i > 0 {
			return fmt.Errorf("%q is not field=value", strings.TrimSpace(part))
		}
		if !found {
			name, value = r.Fields[0], part
		}
		name = strings.TrimSpace(name)
		if err := r.add(one, name, []string{value}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	r.All = append(r.All, one)
	return nil
}

func (r *Records) repeats() {}

// add adds a field to a record. The values of a list may have commas between them.
func (r *Records) add(one Record, name string, values []string) error {
	list := slices.Contains(r.Lists, name)
	switch {
	case !list && !slices.Contains(r.Fields, name):
		return fmt.Errorf("is not a field; the fields are %s", strings.Join(slices.Concat(r.Fields, r.Lists), ", "))
	case one.Has(name):
		return errors.New("is set twice")
	case list:
		var all List
		for _, v := range values {
			if err := all.Set(v); err != nil {
				return err
			}
		}
		one[name] = all
		return nil
	case len(values) > 1:
		return errOneValue
	case len(values) == 0, strings.TrimSpace(values[0]) == "":
		return errNoValue
	}
	one[name] = []string{strings.TrimSpace(values[0])}
	return nil
}

// record makes a record of the fields of an element of the file. name is that of the
// element, as "domains[0]".
func (s *source) record(r *Records, name string, fields []Setting) Record {
	one := make(Record)
	for _, f := range fields {
		path := name + "." + f.Name
		s.lines[path] = f.Line
		var texts []string
		for _, v := range f.Values {
			if v.Fields != nil {
				s.fault(path, errors.New("has fields, and not a value"))
				continue
			}
			texts = append(texts, v.Text)
		}
		s.fault(path, r.add(one, f.Name, texts))
	}
	return one
}
