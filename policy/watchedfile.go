package policy

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// A watchedFile keeps the parsed content of a file, and reads the file again after
// it has changed. If the new file cannot be used, the previous content stays. The
// zero value has read nothing. It is safe for concurrent use.
type watchedFile[T any] struct {
	mu      sync.Mutex // guards the fields below
	looked  time.Time
	reading bool // a goroutine is reading a new file without mu
	state   fileState
	failed  error // the error of the last check
	content *T
}

// A fileSource is how a watchedFile reads its file.
type fileSource[T any] struct {
	path     string
	interval time.Duration // between two looks; a changed file must rest for as long
	maxSize  int64
	parse    func(io.Reader) (T, error)
	tell     func(content *T, err error) // is called after each look; content is nil if the file has not changed
}

// fileState identifies a version of a file.
type fileState struct {
	size  int64
	mtime time.Time
	file  fs.FileInfo
}

func (a fileState) same(b fileState) bool {
	return a.file != nil && b.file != nil && a.size == b.size && a.mtime.Equal(b.mtime) && os.SameFile(a.file, b.file)
}

func stateOf(info fs.FileInfo) fileState { return fileState{info.Size(), info.ModTime(), info} }

// get returns the content in use. The error is why there is none.
func (w *watchedFile[T]) get(f fileSource[T], now time.Time) (*T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.looked.IsZero() || now.Sub(w.looked) >= f.interval {
		rest := f.interval
		if w.content == nil {
			rest = 0 // there is nothing in use yet
		}
		w.look(f, now, rest)
	}
	if w.content == nil {
		return nil, w.failed
	}
	return w.content, nil
}

// load reads the file now if it has changed.
func (w *watchedFile[T]) load(f fileSource[T]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look(f, time.Now(), 0)
	return w.failed
}

// err returns the error of the last check.
func (w *watchedFile[T]) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// look reads the file if it has changed and was then unchanged for rest. The
// caller holds mu. If there is already a content, look unlocks mu while it reads,
// and other goroutines use that content.
func (w *watchedFile[T]) look(f fileSource[T], now time.Time, rest time.Duration) {
	if w.reading {
		return
	}
	w.looked = now
	before := w.state
	release := w.content != nil
	if release {
		w.reading = true
		w.mu.Unlock()
	}
	content, state, err := f.changed(before, now.Add(-rest), now)
	if release {
		w.mu.Lock()
		w.reading = false
	}
	switch {
	case err != nil:
		w.failed = fmt.Errorf("policy: %w", err)
	case content != nil:
		w.content, w.state, w.failed = content, state, nil
	default:
		w.failed = nil
	}
	f.tell(content, err)
}

// changed reads the file, unless it is the version before, or was written
// between since and now.
func (f fileSource[T]) changed(before fileState, since, now time.Time) (*T, fileState, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, before, err
	}
	at := info.ModTime()
	if stateOf(info).same(before) || at.After(since) && !at.After(now) {
		return nil, before, nil
	}
	return f.read()
}

func (f fileSource[T]) read() (*T, fileState, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fileState{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fileState{}, err
	}
	if info.Size() > f.maxSize {
		return nil, fileState{}, fmt.Errorf("%s: the size of %d bytes is above MaxSize, %d", f.path, info.Size(), f.maxSize)
	}
	content, err := f.parse(io.LimitReader(file, f.maxSize))
	if err != nil {
		return nil, fileState{}, err
	}
	if later, err := file.Stat(); err != nil || !stateOf(later).same(stateOf(info)) {
		return nil, fileState{}, fmt.Errorf("%s: changed while it was read", f.path)
	}
	return &content, stateOf(info), nil
}
