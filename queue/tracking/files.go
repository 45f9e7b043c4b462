package tracking

import (
	"bytes"
	"cmp"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A logFile is a file of the log. Its name is MSGTRKyyyymmdd-n.log.
type logFile struct {
	path   string
	day    string // yyyymmdd, in UTC
	number int    // of the day, from 1
}

// compare orders files from the oldest to the newest.
func (f logFile) compare(o logFile) int {
	return cmp.Or(cmp.Compare(f.day, o.day), cmp.Compare(f.number, o.number))
}

// logFiles returns the files of the log that may have lines from since on, oldest
// first.
func logFiles(dir string, since time.Time) ([]logFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []logFile
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), prefix)
		day, number, ok := strings.Cut(strings.TrimSuffix(rest, ".log"), "-")
		n, err := strconv.Atoi(number)
		if !ours || !ok || err != nil {
			continue
		}
		if info, err := e.Info(); err == nil && info.ModTime().Before(since) {
			continue
		}
		files = append(files, logFile{filepath.Join(dir, e.Name()), day, n})
	}
	slices.SortFunc(files, logFile.compare)
	return files, nil
}

// clockSlack is how much earlier or later than the name of its file, or than the
// first line of its file, a line can be: the clock of the system may be set while
// the relay runs.
const clockSlack = time.Hour

// outside reports whether the file has no line of the time from since to until,
// according to its name and its first line. If that is not certain, it returns
// false. since and until may be zero.
func (f logFile) outside(r io.ReaderAt, since, until time.Time) bool {
	if day, err := time.Parse("20060102", f.day); err == nil {
		if !since.IsZero() && day.AddDate(0, 0, 1).Add(clockSlack).Before(since) {
			return true
		}
		if !until.IsZero() && day.Add(-clockSlack).After(until) {
			return true
		}
	}
	if until.IsZero() {
		return false
	}
	first, ok := firstTime(r)
	return ok && first.Add(-clockSlack).After(until)
}

// firstTime returns the time of the first line that is not a comment.
func firstTime(r io.ReaderAt) (time.Time, bool) {
	var room [4 << 10]byte // the comments at the beginning have about 500 bytes
	n, _ := r.ReadAt(room[:], 0)
	rest := room[:n]
	for len(rest) > 0 && rest[0] == '#' {
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
	if len(rest) < len(timeLayout) {
		return time.Time{}, false
	}
	t, err := time.Parse(timeLayout, string(rest[:len(timeLayout)]))
	return t, err == nil
}
