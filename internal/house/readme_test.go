package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What is the same for several programs is in one README, and the others refer to it:
// no long paragraph is in two READMEs. Examples of commands and tables may be.
func TestREADMEsDoNotRepeat(t *testing.T) {
	const long = 250 // bytes; a reference is shorter
	breaks := regexp.MustCompile(`\n\s*\n|\n- `)
	first, read := make(map[string]string), 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "README.md" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read++
		for _, paragraph := range breaks.Split(string(text), -1) {
			words := strings.Join(strings.Fields(paragraph), " ")
			if strings.HasPrefix(paragraph, "    ") || strings.HasPrefix(paragraph, "|") || len(words) < long {
				continue
			}
			if other := first[words]; other != "" {
				t.Errorf("%s and %s have the same paragraph: %.80s...", path, other, words)
			}
			first[words] = path
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if read < 20 {
		t.Errorf("%d READMEs: the walk is wrong", read)
	}
}
