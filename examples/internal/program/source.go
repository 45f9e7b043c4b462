package program

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
)

// A Setting is one value of a configuration file.
type Setting struct {
	Name   string
	Values []string
	Line   int
}

// A source knows where each setting comes from, and collects faults.
type source struct {
	file   string         // name of the configuration file; empty: none
	lines  map[string]int // of the settings in the file
	faults []fault
}

// A fault is an error of one setting.
type fault struct {
	name string // of the setting
	line int    // 0: the setting is not in the file
	text string
}

// fault records an error of a setting. A nil error is no fault.
func (s *source) fault(name string, err error) {
	if err == nil {
		return
	}
	text := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", "; "), "policy: ")
	if line := s.lines[name]; line > 0 {
		s.faults = append(s.faults, fault{name, line, fmt.Sprintf("%s:%d: %s: %s", s.file, line, name, text)})
		return
	}
	s.faults = append(s.faults, fault{name, 0, "-" + name + ": " + text})
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
	given := make(map[string]bool)
	f.Visit(func(x *flag.Flag) { given[x.Name] = true })
	s.lines = make(map[string]int)
	for _, one := range settings {
		x := f.Lookup(one.Name)
		first := s.lines[one.Name]
		s.lines[one.Name] = one.Line
		switch {
		case x == nil || ofCommandLine[one.Name]:
			s.fault(one.Name, errors.New("is not a setting"))
		case first > 0:
			s.fault(one.Name, fmt.Errorf("is set twice, also in line %d", first))
		case given[one.Name]:
			delete(s.lines, one.Name) // the command line has priority
		default:
			s.fault(one.Name, set(x, one.Values))
		}
	}
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
func set(x *flag.Flag, values []string) error {
	_, repeats := x.Value.(repeated)
	switch {
	case len(values) == 0:
		return errors.New("has no value")
	case len(values) > 1 && !repeats:
		return errors.New("has more than one value")
	}
	for _, v := range values {
		if err := x.Value.Set(v); err != nil {
			return err
		}
	}
	return nil
}
