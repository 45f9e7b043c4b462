package yamlfile

import (
	"reflect"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
)

func TestRead(t *testing.T) {
	got, err := Read("x.yaml", []byte(`listen: :25
# comment
allow: [10.0.0.0/8, 192.0.2.7]
max-size: 36M
retry: true
empty:
none: []
filters.spf: check
filters:
  dmarc: reject
  connection:
    block:
      - 192.0.2.1
      - 192.0.2.2
  sender: {}
domains:
  - example.com
  - name: example.org
    recipients: [alice, bob]
    kind:
`))
	if err != nil {
		t.Fatal(err)
	}
	text := func(line int, text string) program.Value { return program.Value{Text: text, Line: line} }
	want := []program.Setting{
		{Name: "listen", Values: []program.Value{text(1, ":25")}, Line: 1},
		{Name: "allow", Values: []program.Value{text(3, "10.0.0.0/8"), text(3, "192.0.2.7")}, Sequence: true, Line: 3},
		{Name: "max-size", Values: []program.Value{text(4, "36M")}, Line: 4},
		{Name: "retry", Values: []program.Value{text(5, "true")}, Line: 5},
		{Name: "empty", Line: 6},
		{Name: "none", Values: []program.Value{}, Sequence: true, Line: 7},
		{Name: "filters.spf", Values: []program.Value{text(8, "check")}, Line: 8},
		{Name: "filters", Section: true, Line: 9},
		{Name: "filters.dmarc", Values: []program.Value{text(10, "reject")}, Line: 10},
		{Name: "filters.connection", Section: true, Line: 11},
		{Name: "filters.connection.block", Values: []program.Value{text(13, "192.0.2.1"), text(14, "192.0.2.2")}, Sequence: true, Line: 12},
		{Name: "filters.sender", Section: true, Line: 15},
		{Name: "domains", Sequence: true, Line: 16, Values: []program.Value{text(17, "example.com"), {Line: 18, Fields: []program.Setting{
			{Name: "name", Values: []program.Value{text(18, "example.org")}, Line: 18},
			{Name: "recipients", Values: []program.Value{text(19, "alice"), text(19, "bob")}, Sequence: true, Line: 19},
			{Name: "kind", Line: 20},
		}}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// Each error names the file and the line.
func TestReadErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "x.yaml:1: the file is empty",
		"listen\n":                       "x.yaml:1: not a mapping",
		"- listen\n":                     "x.yaml:1: not a mapping",
		"a: 1\n---\nb: 2\n":              "a second document",
		"a: 1\n...\nb: 2\n":              "x.yaml:",
		"a: 1\nallow: [x,\n [y]]\n":      "x.yaml:3: allow[1]: not a value",
		"a: 1\nallow: [x, ~]\n":          "x.yaml:2: allow[1]: not a value",
		"a: {b: 1}\nc: {}\na: {d: 1}\n":  "x.yaml:3: a: is set twice, also in line 1",
		"a:\n  b: {c: 1}\n  b: {d: 1}\n": "x.yaml:3: a.b: is set twice, also in line 2",
		"a:\n- b: [x, ~]\n":              "x.yaml:2: a[0].b[1]: not a value",
		"a:\n- b: {c: 1}\n  b: {d: 1}\n": "x.yaml:3: a[0].b: is set twice",
		"a: &x {b: 1}\nc: *x\n":          "x.yaml:2: c: not a value",
		"a:\n  [z]: 1\n":                 "x.yaml:2: a.: the name",
		"a: 1\nb: [\n":                   "x.yaml:",
		"a: 1\n\tb: 2\n":                 "x.yaml:2: ",
		"a: &x [1]\nb: *x\n? [z]\n: 1\n": "x.yaml:3: ",
	} {
		if got, err := Read("x.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "x.yaml:") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", text, got, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("listen: :25\nallow: [10.0.0.0/8]\n"))
	f.Add([]byte("a: &x [1, 2]\nb: *x\n---\n"))
	f.Add([]byte("a: {b: 1, c: {d: [2]}}\ne: [{f: 3, g: [4]}, h]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		settings, err := Read("x.yaml", text)
		if err != nil && !strings.HasPrefix(err.Error(), "x.yaml:") {
			t.Errorf("%v names no line", err)
		}
		haveLines(t, settings)
	})
}

func haveLines(t *testing.T, settings []program.Setting) {
	for _, s := range settings {
		if s.Line < 1 {
			t.Errorf("%v has no line", s)
		}
		for _, v := range s.Values {
			if v.Line < 1 {
				t.Errorf("a value of %v has no line", s)
			}
			haveLines(t, v.Fields)
		}
	}
}
