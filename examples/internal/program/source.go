package program

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Setting is one setting of a configuration file.
type Setting struct {
	// Name is the name of the flag. A name that is in sections has their names
	// before it: "filters.spf" is the setting spf of the section filters.
	Name string
	// Values are nil if the file has the name without a value. If they are empty, the
	// file has an empty sequence.
	Values []Value
	// Sequence reports that the file has a sequence, and not one value.
	Sequence bool
	// Section reports that the setting is a section. Its settings follow it.
	Section bool
	Line    int
}

// A Value is one value of a Setting: a text, or an element that has fields, such as
// a domain with its recipients.
type Value struct {
	Text   string
	Fields []Setting // nil: the value is a text
	Line   int
}

// A source knows where each setting comes from, and collects faults.
type source struct {
	file   string          // name of the configuration file; empty: none
	lines  map[string]int  // of the settings, sections and elements in the file
	given  map[string]bool // the settings on the command line
	faults []fault
}

// A fault is an error of one setting.
type fault struct {
	name string // of the setting
	line int    // 0: the setting is not in the file
	text string
}

// line returns the line of a setting such as domains[1].kind or, if the file does not
// have it, of the innermost part of the name that the file has. It returns 0 if the
// file has no part, and for settings of the command line.
func (s *source) line(name string) int {
	for {
		if s.given[name] {
			return 0
		}
		if line := s.lines[name]; line > 0 {
			return line
		}
		i := strings.LastIndexAny(name, ".[")
		if i < 0 {
			return 0
		}
		name = name[:i]
	}
}

// fault records an error of a setting. A nil error is no fault.
func (s *source) fault(name string, err error) {
	if err == nil {
		return
	}
	text := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", "; "), "policy: ")
	one := fault{name, s.line(name), "-" + name + ": " + text}
	if one.line > 0 {
		one.text = fmt.Sprintf("%s:%d: %s: %s", s.file, one.line, name, text)
	}
	if !slices.Contains(s.faults, one) { // for example of each listener
		s.faults = append(s.faults, one)
	}
}

// err returns all faults, in the order of their lines.
func (s *source) err() error {
	slices.SortStableFunc(s.faults, func(a, b fault) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for _, f := range s.faults {
		errs = append(errs, errors.New(f.text))
	}
	return errors.Join(errs...)
}

// apply sets the flags that are in the file and not on the command line.
func (s *source) apply(f *flag.FlagSet, settings []Setting) {
	s.given, s.lines = make(map[string]bool), make(map[string]int)
	f.Visit(func(x *flag.Flag) { s.given[x.Name] = true })
	wrong := "" // the section whose settings are not looked at
	for _, one := range settings {
		if wrong != "" && strings.HasPrefix(one.Name, wrong) {
			continue
		}
		x := f.Lookup(one.Name)
		first := s.lines[one.Name]
		s.lines[one.Name] = one.Line
		switch {
		case x == nil && isSection(f, one.Name) && len(one.Values) == 0 && !one.Sequence: // it may have no settings
		case x == nil || ofCommandLine[one.Name]:
			s.fault(one.Name, errors.New("is not a setting"))
			wrong = one.Name + "."
		case one.Section:
			s.fault(one.Name, errors.New("has settings below it, and not a value"))
			wrong = one.Name + "."
		case first > 0:
			s.fault(one.Name, fmt.Errorf("is set twice, also in line %d", first))
		case !s.given[one.Name]: // the command line has priority
			s.set(x, one)
		}
	}
}

// isSection reports whether the names of flags have this section.
func isSection(f *flag.FlagSet, name string) (is bool) {
	f.VisitAll(func(x *flag.Flag) { is = is || strings.HasPrefix(x.Name, name+".") })
	return is
}

// isSet reports whether a setting is on the command line or in the file.
func (l *loaded) isSet(name string) bool {
	set := l.lines[name] > 0
	l.flags.Visit(func(x *flag.Flag) { set = set || x.Name == name })
	return set
}

// ofCommandLine are the flags that a configuration file cannot have.
var ofCommandLine = map[string]bool{"config": true, "compare": true, "check": true, "retry-now": true}

// set sets a flag to the values of the file.
func (s *source) set(x *flag.Flag, one Setting) {
	_, repeats := x.Value.(repeated)
	switch {
	case one.Values == nil, len(one.Values) == 0 && !repeats:
		s.fault(one.Name, errNoValue)
		return
	case len(one.Values) > 1 && !repeats:
		s.fault(one.Name, errOneValue)
		return
	}
	for i, v := range one.Values {
		name := one.Name
		if one.Sequence {
			name = fmt.Sprintf("%s[%d]", one.Name, i)
			s.lines[name] = v.Line
		}
		records, has := x.Value.(*Records)
		switch {
		case v.Fields == nil:
			s.fault(name, explain(x, v.Text, x.Value.Set(v.Text)))
		case has:
			records.All = append(records.All, s.record(records, name, v.Fields))
		default:
			s.fault(name, errors.New("has fields, and not a value"))
		}
	}
}

var (
	errNoValue  = errors.New("has no value")
	errOneValue = errors.New("has more than one value")
)

// explain returns the error of the method Set of a flag. Those of package flag do not
// say what is wrong.
func explain(x *flag.Flag, text string, err error) error {
	if g, is := x.Value.(flag.Getter); is && err != nil {
		switch g.Get().(type) {
		case bool:
			return fmt.Errorf("%q is not true or false", text)
		case int:
			return fmt.Errorf("%q is not a number", text)
		case time.Duration:
			return fmt.Errorf("%q is not a duration, such as 48h", text)
		}
	}
	return err
}
