// Package yamlfile reads the configuration files of the reference gateways. It is a
// module of its own, so that the core does not depend on a YAML parser.
//
// A file is a mapping of settings. Their names are those of the flags. The value of a
// setting with several values is a sequence:
//
//	# /etc/smarthost/smarthost.yaml
//	listen: 10.1.0.25:25
//	allow: [10.1.0.0/16, 192.0.2.7]
//	upstream: smtp.example.net:587
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
	var settings []program.Setting
	var faults []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		values, err := values(value)
		if err == nil && key.Kind != yaml.ScalarNode {
			err = errors.New("the name of a setting is not a text")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %s: %w", path, key.Line, key.Value, err))
			continue
		}
		settings = append(settings, program.Setting{Name: key.Value, Values: values, Line: key.Line})
	}
	return settings, errors.Join(faults...)
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

// values returns a scalar, or the scalars of a sequence.
func values(n *yaml.Node) ([]string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil, nil
	case n.Kind == yaml.ScalarNode:
		return []string{n.Value}, nil
	case n.Kind != yaml.SequenceNode:
		return nil, errors.New("not a value or a sequence of values")
	}
	var all []string
	for _, one := range n.Content {
		if one.Kind != yaml.ScalarNode || one.Tag == "!!null" {
			return nil, fmt.Errorf("line %d is not a value", one.Line)
		}
		all = append(all, one.Value)
	}
	return all, nil
}
