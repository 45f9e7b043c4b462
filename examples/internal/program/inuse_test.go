package program

import (
	"io"
	"testing"
)

// closed counts the calls of Close.
type closed int

func (c *closed) Close() error {
	*c++
	return nil
}

// A reload keeps a value if its settings do not change. A value is closed when another
// one has come into use, and not by a reload that fails.
func TestReuse(t *testing.T) {
	k := &Kit{parts: &parts{kept: make(map[string]any)}}
	var closers []io.Closer
	first, second, third := new(closed), new(closed), new(closed)
	for _, step := range []struct {
		what     string
		settings string
		fresh    *closed
		fails    bool
		want     *closed
		closed   [3]closed // first, second, third
	}{
		{"start", "1", first, false, first, [3]closed{}},
		{"reload", "1", second, false, first, [3]closed{}},
		{"reload with other settings, which fails", "2", second, true, second, [3]closed{}},
		{"reload", "1", third, false, first, [3]closed{}},
		{"reload with other settings", "2", second, false, second, [3]closed{1, 0, 0}},
		{"reload without the value", "", nil, false, nil, [3]closed{1, 1, 0}},
		{"reload with the value", "2", third, false, third, [3]closed{1, 1, 0}},
	} {
		var r Rules
		if got := Reuse(k, &r, "value", step.settings, step.fresh); got != step.want {
			t.Errorf("%s: another value", step.what)
		}
		if !step.fails {
			for _, f := range r.Applied {
				f()
			}
		}
		if got := [3]closed{*first, *second, *third}; got != step.closed {
			t.Errorf("%s: closed %v, want %v", step.what, got, step.closed)
		}
		if closers == nil { // those of a reload are not used
			closers = r.Closers
		}
	}
	for _, c := range closers {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if *third != 1 {
		t.Errorf("the value in use was closed %d times at the end", *third)
	}
}
