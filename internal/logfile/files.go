package logfile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Files is an io.WriteCloser that spreads what is written over files in a
// folder: PREFIXyyyymmdd-n.log, a new one each day (UTC) and whenever one is
// full. Old files are removed. Each file begins with the header, and a line is
// never split, provided that each Write has whole lines: a Write that fails,
// as on a full disk, leaves nothing behind. Files is safe for concurrent use.
// The fields must not change once it was written to.
type Files struct {
	Dir    string // made when it is not there
	Prefix string // of the file names
	Suffix string // of the file names. Default ".log"
	Header string // of each file
	// Private files are only for their owner to read; others also for the
	// owner's group.
	Private bool

	MaxSize int64         // of one file. Default 10 MB (Exchange)
	MaxAge  time.Duration // of a file before it is removed. Default 30 days (Exchange)
	MaxDir  int64         // of all files with the prefix but the present one. Default 250 MB (Exchange)

	mu     sync.Mutex // guards what follows
	file   *os.File
	size   int64
	day    string
	number int
	closed bool
}

// Write implements io.Writer.
func (f *Files) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, os.ErrClosed
	}
	now := time.Now().UTC()
	day := now.Format("20060102")
	if f.file == nil || f.day != day || f.size+int64(len(p)) > orDefault(f.MaxSize, 10<<20) && f.size > int64(len(f.Header)) {
		if err := f.next(day, now); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(p)
	if err != nil { // a full disk takes part of a line, too
		if f.file.Truncate(f.size) != nil {
			f.file.Close()
			f.file = nil
		}
		return 0, err
	}
	f.size += int64(n)
	return n, nil
}

// Close closes the present file.
func (f *Files) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// next begins a file, under a name that is not taken.
func (f *Files) next(day string, now time.Time) error {
	if f.file != nil {
		f.file.Close() // its lines are written
		f.file = nil
	}
	if f.day != day {
		f.day, f.number = day, 0
	}
	if f.Dir == "" {
		return errors.New("log: Dir is not set")
	}
	private := fs.FileMode(0)
	if f.Private {
		private = 0o077
	}
	if err := os.MkdirAll(f.Dir, 0o750&^private); err != nil {
		return err
	}
	f.clean(now) // first: it may be the old ones that fill the disk
	for {
		f.number++
		name := filepath.Join(f.Dir, fmt.Sprintf("%s%s-%d%s", f.Prefix, day, f.number, f.suffix()))
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o640&^private)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		n, err := file.WriteString(f.Header)
		if err != nil {
			file.Close()
			os.Remove(name) // or there would be one for each attempt
			f.number--
			return err
		}
		f.file, f.size = file, int64(n)
		return nil
	}
}

func (f *Files) suffix() string { return cmp.Or(f.Suffix, ".log") }

// clean removes files that are too old, and the oldest while all of them
// together are too large. What cannot be removed is tried again with the next
// file.
func (f *Files) clean(now time.Time) {
	type old struct {
		name string
		info fs.FileInfo
	}
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return
	}
	var files []old
	var total int64
	for _, e := range entries {
		name := filepath.Join(f.Dir, e.Name())
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !f.ours(e.Name()) {
			continue
		}
		total += info.Size()
		files = append(files, old{name, info})
	}
	slices.SortFunc(files, func(a, b old) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	age := orDefault(f.MaxAge, 30*24*time.Hour)
	most := orDefault(f.MaxDir, 250<<20)
	for _, o := range files {
		if now.Sub(o.info.ModTime()) > age || total > most {
			os.Remove(o.name)
			total -= o.info.Size()
		}
	}
}

// ours says whether a name is one that next gives: nothing else is removed.
func (f *Files) ours(name string) bool {
	rest, ok := strings.CutPrefix(name, f.Prefix)
	rest, log := strings.CutSuffix(rest, f.suffix())
	day, number, dash := strings.Cut(rest, "-")
	digits := strings.Trim(day+number, "0123456789") == ""
	return ok && log && dash && len(day) == 8 && number != "" && digits
}

func orDefault[T int64 | time.Duration](n, standard T) T {
	if n <= 0 {
		return standard
	}
	return n
}
