package peers

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A maildir is the folder for the mail of all mailboxes of a server.
type maildir struct {
	path string
	seen map[string]bool // files that next has returned
}

// next waits for the next message.
func (m *maildir) next(t testing.TB, whose string) (message string) {
	t.Helper()
	Await(t, "mail at the "+whose, func() bool {
		files, _ := filepath.Glob(m.path + "/new/*") // the pattern is valid
		slices.Sort(files)                           // their names begin with the time
		for _, f := range files {
			if !m.seen[f] {
				b, err := os.ReadFile(f)
				check(t, err)
				if m.seen == nil {
					m.seen = map[string]bool{}
				}
				m.seen[f], message = true, string(b)
				return true
			}
		}
		return false
	})
	return message
}
