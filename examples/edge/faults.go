package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A source is a configuration file with its faults.
type source struct {
	file   string
	root   yaml.Node
	faults []fault
}

// A fault is one error, at a line of the file.
type fault struct {
	line int
	text string
}

// fault records an error of the value at a path such as "domains[1].name". A nil
// error is no fault.
func (s *source) fault(path string, err error) {
	if err != nil {
		text := strings.ReplaceAll(err.Error(), "\n", "; ")
		s.faults = append(s.faults, fault{s.line(path), path + ": " + strings.TrimPrefix(text, "policy: ")})
	}
}

// err returns all recorded faults in the order of their lines.
func (s *source) err() error {
	slices.SortStableFunc(s.faults, func(a, b fault) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for _, f := range s.faults {
		errs = append(errs, fmt.Errorf("%s:%d: %s", s.file, f.line, f.text))
	}
	return errors.Join(errs...)
}

var (
	step    = regexp.MustCompile(`[^.\[\]]+`)
	atLine  = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)`)
	unknown = regexp.MustCompile(`^field (\S+) not found in type `)
)

// has reports whether the file has a setting, which may be empty.
func (s *source) has(path string) bool {
	if len(s.root.Content) == 0 {
		return false
	}
	node := s.root.Content[0]
	for _, name := range step.FindAllString(path, -1) {
		if _, node = child(node, name); node == nil {
			return false
		}
	}
	return true
}

// line returns the line of the value or, if it is missing, of the innermost part
// that exists.
func (s *source) line(path string) int {
	if len(s.root.Content) == 0 {
		return 1
	}
	node := s.root.Content[0]
	line := max(node.Line, 1)
	for _, name := range step.FindAllString(path, -1) {
		key, value := child(node, name)
		if value == nil {
			break
		}
		node, line = value, key.Line
	}
	return line
}

// child returns a key of a mapping with its value, or twice an element of a
// sequence.
func child(node *yaml.Node, name string) (key, value *yaml.Node) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch i, err := strconv.Atoi(name); {
	case node.Kind == yaml.SequenceNode && err == nil && i < len(node.Content):
		return node.Content[i], node.Content[i]
	case node.Kind == yaml.MappingNode:
		for k := 0; k+1 < len(node.Content); k += 2 {
			if node.Content[k].Value == name {
				return node.Content[k], node.Content[k+1]
			}
		}
	}
	return nil, nil
}

// syntax records an error of the YAML parser.
func (s *source) syntax(err error) {
	lines := []string{err.Error()}
	if t := (*yaml.TypeError)(nil); errors.As(err, &t) {
		lines = t.Errors
	}
	for _, text := range lines {
		f := fault{1, strings.TrimPrefix(text, "yaml: ")}
		if m := atLine.FindStringSubmatch(text); m != nil {
			f.line, _ = strconv.Atoi(m[1]) // the pattern has digits
			f.text = m[2]
		}
		if m := unknown.FindStringSubmatch(f.text); m != nil {
			f.text = fmt.Sprintf("unknown setting %q", m[1])
		}
		s.faults = append(s.faults, f)
	}
}
