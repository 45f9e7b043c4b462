package program

import (
	"flag"
	"testing"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"1": 1, "36M": 36 << 20, "36 MiB": 36 << 20, "3K": 3 << 10, "2GiB": 2 << 30, "1G": 1 << 30} {
		var s Size
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%q: %d, %v, want %d", text, s, err, want)
		}
		var again Size
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%q: %s is %d, %v", text, s.String(), again, err)
		}
	}
	for _, text := range []string{"", "M", "0", "-1", "1T", "1.5M", "99999999999G"} {
		if err := new(Size).Set(text); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}

// The arguments of a command stay as they are.
func TestWords(t *testing.T) {
	var w Words
	for _, text := range []string{"/bin/page", "a, b", ""} {
		if err := w.Set(text); err != nil {
			t.Error(err)
		}
	}
	if len(w) != 3 || w[1] != "a, b" {
		t.Errorf("%q", w)
	}
	l := loaded{flags: flag.NewFlagSet("", flag.ContinueOnError)}
	l.flags.Var(&w, "command", "")
	l.apply(l.flags, []Setting{{Name: "command", Sequence: true, Line: 1, Values: []Value{{Text: "x", Line: 1}, {Text: "y,z", Line: 2}}}})
	if err := l.err(); err != nil || len(w) != 5 || w[4] != "y,z" {
		t.Errorf("from a file: %v, %q", err, w)
	}
}
