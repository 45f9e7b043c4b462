// Package yamlfile reads the configuration files of the reference gateways. It is a
// module of its own, so that the core does not depend on a YAML parser.
//
// A file is a mapping of settings. Their names are those of the flags. The value of a
// setting with several values is a sequence. A name with dots may also be written as
// nested mappings, and an element of a sequence may be a mapping:
//
//	# /etc/edge/edge.yaml
//	hostname: edge.example.com
//	filters:
//	  spf: reject                 # as filters.spf: reject, and -filters.spf reject
//	  connection:
//	    block: [10.1.0.0/16, 192.0.2.7]
//	domains:
//	  - name: example.com         # as -domains "example.com; recipients=alice,bob"
//	    recipients: [alice, bob]
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"

	"go.yaml.in/yaml/v3"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
)

// Main is the main function of a gateway that has the flag -config.
func Main(name string, newGateway func() program.Gateway) {
	(&program.Program{Name: name, New: newGateway, ReadFile: Read}).Main()
}

// Read parses a file. An error names the line.
func Read(path string, text []byte) ([]program.Setting, error) {
	root, err := document(text)
	if err != nil {
		return nil, fmt.Errorf("%s:%s", path, err)
	}
	r := reader{path: path}
	settings := r.mapping("", root)
	return settings, errors.Join(r.faults...)
}

// A reader makes settings of the nodes of a file.
type reader struct {
	path    string
	element string // the element that the nodes are in, as "domains[0]."
	faults  []error
}

func (r *reader) fault(line int, name, text string) {
	r.faults = append(r.faults, fmt.Errorf("%s:%d: %s%s: %s", r.path, line, r.element, name, text))
}

// mapping returns the settings of a mapping. prefix is the name of its section, with a
// dot at the end.
func (r *reader) mapping(prefix string, n *yaml.Node) []program.Setting {
	settings := []program.Setting{}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.fault(key.Line, prefix+key.Value, "the name of a setting is not a text")
			continue
		}
		one := program.Setting{Name: prefix + key.Value, Line: key.Line}
		// The caller finds two settings with one name. Two sections would become one section.
		if first := seen[key.Value]; first > 0 && value.Kind == yaml.MappingNode {
			r.fault(key.Line, one.Name, fmt.Sprintf("is set twice, also in line %d", first))
			continue
		}
		seen[key.Value] = key.Line
		if value.Kind == yaml.MappingNode {
			one.Section = true
			settings = append(append(settings, one), r.mapping(one.Name+".", value)...)
			continue
		}
		r.values(&one, value)
		settings = append(settings, one)
	}
	return settings
}

var atLine = regexp.MustCompile(`^yaml: line (\d+): `)

// document returns the mapping of a file, or an error that begins with the line.
func document(text []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := d.Decode(&first); errors.Is(err, io.EOF) {
		return nil, errors.New("1: the file is empty")
	} else if err != nil {
		return nil, position(err)
	}
	// A second document would not be used, for example if two files were joined.
	if err := d.Decode(&second); err == nil {
		return nil, fmt.Errorf("%d: a second document (after --- or ...) would not be read", second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, position(err)
	}
	if len(first.Content) != 1 || first.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%d: not a mapping of settings, such as \"listen: :25\"", max(first.Line, 1))
	}
	return first.Content[0], nil
}

// position moves the line of an error of the parser to its beginning.
func position(err error) error {
	text := err.Error()
	if m := atLine.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s: %s", m[1], text[len(m[0]):])
	}
	return fmt.Errorf("1: %s", text)
}

// values sets the values of a setting: those of a scalar or a sequence.
func (r *reader) values(one *program.Setting, n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return
	case n.Kind == yaml.ScalarNode:
		one.Values = []program.Value{{Text: n.Value, Line: n.Line}}
		return
	case n.Kind != yaml.SequenceNode:
		r.fault(one.Line, one.Name, "not a value or a sequence of values")
		return
	}
	one.Sequence, one.Values = true, []program.Value{}
	for i, element := range n.Content {
		v := program.Value{Text: element.Value, Line: element.Line}
		switch {
		case element.Kind == yaml.MappingNode:
			outer := r.element
			r.element = fmt.Sprintf("%s%s[%d].", outer, one.Name, i)
			v.Text, v.Fields = "", r.mapping("", element)
			r.element = outer
		case element.Kind != yaml.ScalarNode, element.Tag == "!!null":
			r.fault(element.Line, fmt.Sprintf("%s[%d]", one.Name, i), "not a value")
		}
		one.Values = append(one.Values, v)
	}
}
