package peers

import (
	"io/fs"
	"path/filepath"
	"testing"
)

// NeedMessages returns the message files below Dir()/messages. .ci/peers copies
// them from the tests of other projects. If there are fewer than least, the test
// is skipped or fails as with Need.
func NeedMessages(t testing.TB, least int) (files []string) {
	t.Helper()
	dir := filepath.Join(Dir(), "messages")
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return nil // a missing folder has no files
	})
	if len(files) < least {
		missing(t, "message files in "+dir)
	}
	t.Logf("peer: %d message files", len(files))
	return files
}
