package yamlfile

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
)

func TestRead(t *testing.T) {
	got, err := Read("x.yaml", []byte("listen: :25\n# comment\nallow: [10.0.0.0/8, 192.0.2.7]\nmax-size: 36M\nretry: true\nempty:\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []program.Setting{
		{Name: "listen", Values: []string{":25"}, Line: 1},
		{Name: "allow", Values: []string{"10.0.0.0/8", "192.0.2.7"}, Line: 3},
		{Name: "max-size", Values: []string{"36M"}, Line: 4},
		{Name: "retry", Values: []string{"true"}, Line: 5},
		{Name: "empty", Line: 6},
	}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if got[i].Name != want[i].Name || strings.Join(got[i].Values, "|") != strings.Join(want[i].Values, "|") || got[i].Line != want[i].Line {
			t.Errorf("%v, want %v", got[i], want[i])
		}
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
		"a: 1\nallow: {b: c}\n":          "x.yaml:2: allow: not a value",
		"a: 1\nallow: [x, {b: c}]\n":     "x.yaml:2: allow: line 2 is not a value",
		"a: 1\nallow: [x, ~]\n":          "x.yaml:2: allow: line 2 is not a value",
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
	f.Fuzz(func(t *testing.T, text []byte) {
		settings, err := Read("x.yaml", text)
		if err != nil && !strings.HasPrefix(err.Error(), "x.yaml:") {
			t.Errorf("%v names no line", err)
		}
		for _, s := range settings {
			if s.Line < 1 {
				t.Errorf("%v has no line", s)
			}
		}
	})
}
