package antispam

import (
	"flag"
	"fmt"
	"slices"
	"strings"
)

// A word is the value of a setting that has one of a few words. The first one is the
// default.
type word struct {
	known []string
	value string
}

// define defines the flag. usage says what the word is about.
func (w *word) define(fs *flag.FlagSet, name, usage string, known ...string) {
	w.known, w.value = known, known[0]
	fs.Var(w, name, fmt.Sprintf("`word` for %s: %s", usage, strings.Join(known, " or ")))
}

// String implements flag.Value.
func (w *word) String() string { return w.value }

// Set implements flag.Value.
func (w *word) Set(text string) error {
	if !slices.Contains(w.known, text) {
		return fmt.Errorf("%q is not one of %s", text, strings.Join(w.known, ", "))
	}
	w.value = text
	return nil
}

// changed reports whether the word is not the default.
func (w *word) changed() bool { return w.value != "" && w.value != w.known[0] }
