package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Large content is stored in a file of its own in the directory files. The name
// is the sequence number of the message. The file and its name are durable before
// the record is written that refers to them. The file is deleted after the removal
// of the message is durable. Open deletes a file that no record refers to.

// contentFiles has the content files of a spool.
type contentFiles struct {
	fs      fileSystem
	dir     string
	logger  *slog.Logger
	token   string      // in the names of the files that create makes
	removed atomic.Bool // files were removed since the directory was synced
	named   atomic.Bool // the file system does not support files without a name

	mu   sync.Mutex // guards old
	old  []uint64   // files of messages that have ended
	kick func()     // wakes housekeeping
}

func newContentFiles(dir string, fsys fileSystem, logger *slog.Logger) *contentFiles {
	return &contentFiles{
		fs: fsys, dir: filepath.Join(dir, "files"), logger: logger, token: rand.Text()[:8], kick: func() {},
	}
}

func (c *contentFiles) name(seq uint64) string {
	return filepath.Join(c.dir, fmt.Sprintf("%016x", seq))
}

// fileSeq is the inverse of name, for the last element of the path. ok is false
// for other names.
func fileSeq(name string) (seq uint64, ok bool) {
	seq, err := strconv.ParseUint(name, 16, 64)
	return seq, err == nil && len(name) == 16
}

const tempPrefix = "tmp-"

// create creates a file for content that is being received. If the file system
// supports it, the file has no name until adopt gives it one.
func (c *contentFiles) create() (*os.File, error) {
	name := filepath.Join(c.dir, tempPrefix+c.token+"-"+rand.Text())
	if !c.named.Load() {
		f, err := openNameless(c.dir, name)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return nil, diskError(err)
		}
		c.named.Store(true)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, diskError(err)
	}
	runtime.AddCleanup(f, func(name string) { os.Remove(name) }, name)
	return f, nil
}

// created reports whether create made f.
func (c *contentFiles) created(f *os.File) bool {
	return f != nil && strings.HasPrefix(filepath.Base(f.Name()), tempPrefix+c.token+"-") &&
		filepath.Dir(f.Name()) == c.dir
}

// open opens the content file of a message to read it.
func (c *contentFiles) open(seq uint64) (file, error) { return c.fs.Open(c.name(seq), read) }

// exist returns an error if the directory cannot be read.
func (c *contentFiles) exist() error {
	_, err := c.fs.ReadDir(c.dir)
	return err
}

// adopt gives the file f, which create made, the name for a sequence number, and
// makes the file and the name durable.
func (c *contentFiles) adopt(f *os.File, seq uint64) error {
	if err := c.fs.Adopt(f, c.name(seq)); err != nil {
		return err
	}
	return c.fs.SyncDir(c.dir)
}

// write creates a durable content file and returns its checksum.
func (c *contentFiles) write(seq uint64, from queue.Content) (crc uint32, err error) {
	f, err := c.fs.Open(c.name(seq), create)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w := &fileWriter{f: f}
	if _, err := from.WriteTo(w); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	return w.crc, c.fs.SyncDir(c.dir)
}

// remove deletes a content file. If that fails, the next Open deletes it.
func (c *contentFiles) remove(seq uint64) error {
	err := c.fs.Remove(c.name(seq))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// retire lists the content files of messages that have ended for removeOld.
func (c *contentFiles) retire(seqs []uint64) {
	if len(seqs) == 0 {
		return
	}
	c.mu.Lock()
	c.old = append(c.old, seqs...)
	c.mu.Unlock()
	c.kick()
}

// removeOld deletes the files that were retired.
func (c *contentFiles) removeOld() {
	c.mu.Lock()
	old := c.old
	c.old = nil
	c.mu.Unlock()
	for _, seq := range old {
		c.removed.Store(true)
		if err := c.remove(seq); err != nil {
			c.logger.Warn("spool: cannot delete content file", "error", err)
		}
	}
}

// syncRemoved makes the removals durable. Otherwise a file could come back after a power
// failure when nothing shows any more that its message has ended.
func (c *contentFiles) syncRemoved() {
	if c.removed.Swap(false) {
		if err := c.fs.SyncDir(c.dir); err != nil {
			c.removed.Store(true)
		}
	}
}

// A fileWriter appends to a file and computes the checksum of what it writes.
type fileWriter struct {
	f   file
	off int64
	crc uint32
}

func (w *fileWriter) Write(b []byte) (int, error) {
	if err := w.f.WriteAt([][]byte{b}, w.off); err != nil {
		return 0, err
	}
	w.off += int64(len(b))
	w.crc = updateChecksum(w.crc, b)
	return len(b), nil
}
