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

// Files is an io.WriteCloser that writes to a sequence of files in a directory.
// Their names are PREFIXyyyymmdd-n.log. A new file starts each day (UTC) and
// when the current one is full. Old files are removed. Each file begins with
// Header. If each Write contains whole lines, a line is never split between
// files, and a Write that fails (for example because the disk is full) writes
// nothing. If another program, for example logrotate, renames, removes or
// truncates the current file, Files notices it within a second and begins a new
// file. Files is safe for concurrent use. The fields must not change after the
// first Write.
type Files struct {
	Dir    string // created if it does not exist
	Prefix string // of the file names
	Suffix string // of the file names. Default ".log"
	Header string // the first lines of each file
	// HeaderAt, if set and Header is empty, returns the first lines of a file that
	// begins now.
	HeaderAt func(now time.Time) string
	// Private makes the files readable only for their owner. Otherwise the
	// owner's group can read them too.
	Private bool

	MaxSize int64         // of one file, in bytes. Default 10 MB (Exchange)
	MaxAge  time.Duration // of a file before it is removed. Default 30 days (Exchange)
	MaxDir  int64         // of all files with the prefix except the current one. Default 250 MB (Exchange)

	mu     sync.Mutex // guards the following fields
	file   *os.File
	header int64 // length of the header of file
	size   int64
	day    string
	number int
	looked time.Time // when the current file was last looked at
	closed bool
}

// lookInterval is how often Write looks whether another program has moved the file.
const lookInterval = time.Second

// Write implements io.Writer.
func (f *Files) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, os.ErrClosed
	}
	now := time.Now().UTC()
	day := now.Format("20060102")
	if now.Sub(f.looked) >= lookInterval {
		f.looked = now
		f.look()
	}
	if f.file == nil || f.day != day || f.size+int64(len(p)) > orDefault(f.MaxSize, 10<<20) && f.size > f.header {
		if err := f.next(day, now); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(p)
	if err != nil { // part of a line may have been written
		if f.file.Truncate(f.size) != nil {
			f.file.Close()
			f.file = nil
		}
		return 0, err
	}
	f.size += int64(n)
	return n, nil
}

// look notices that another program has renamed, removed or truncated the current
// file.
func (f *Files) look() {
	if f.file == nil {
		return
	}
	open, err1 := f.file.Stat()
	named, err2 := os.Stat(f.file.Name())
	if err1 != nil || err2 != nil && !errors.Is(err2, fs.ErrNotExist) {
		return // the next Write may work nevertheless
	}
	if err2 == nil && os.SameFile(open, named) && open.Size() >= f.size {
		return
	}
	f.file.Close() // its lines are already written
	f.file = nil
}

// Close closes the current file.
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

// next creates a file with a name that does not exist.
func (f *Files) next(day string, now time.Time) error {
	if f.file != nil {
		f.file.Close() // its lines are already written
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
	f.clean(now) // first, because old files may fill the disk
	header := f.Header
	if header == "" && f.HeaderAt != nil {
		header = f.HeaderAt(now)
	}
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
		n, err := file.WriteString(header)
		if err != nil {
			file.Close()
			os.Remove(name) // otherwise each attempt would leave a file
			f.number--
			return err
		}
		f.file, f.size, f.header = file, int64(n), int64(n)
		return nil
	}
}

func (f *Files) suffix() string { return cmp.Or(f.Suffix, ".log") }

// clean removes files that are too old, and the oldest files while all together
// are too large. It tries again with the next file if it cannot remove a file.
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
		if err != nil || !info.Mode().IsRegular() || !f.isLog(e.Name()) {
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

// isLog reports whether name is a name that next makes. clean removes no other
// files.
func (f *Files) isLog(name string) bool {
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
