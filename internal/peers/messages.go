package peers

import (
	"io/fs"
	"path/filepath"
	"testing"
)

// NeedMessages returns the message files below Dir()/messages, where .ci/peers
// puts those of other projects' tests. A test for which there are fewer than
// least is skipped, or fails as with Need.
func NeedMessages(t testing.TB, least int) (files []string) {
	t.Helper()
	dir := filepath.Join(Dir(), "messages")
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return nil // a folder that is missing holds no files
	})
	if len(files) < least {
		missing(t, "message files in "+dir)
	}
	t.Logf("peer: %d message files", len(files))
	return files
}
