package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// The suspensions of next hops and domains are in a small text file. Each change
// writes a new file, syncs it and renames it, so the file is always whole. Without
// suspensions there is no file.
//
// Each line begins with the CRC-32C of the rest of the line, in 8 hexadecimal digits.
// The first line has the number of suspensions. Each other line is a suspension:
// connector, destination, domain, reason, author, begin and end. The values are
// strings in the syntax of Go, separated by blanks.
//
// If the file is damaged, Open copies it to the directory damaged, reports it, and
// keeps the suspensions in the lines that can be read. It does not fail: a relay that
// does not start delivers nothing at all, and the report says that mail may be
// delivered that was to wait.
//
// A program that does not know the file would deliver suspended mail. So the file
// exists only in a spool of format version 4 or later.

const (
	suspensionsName = "suspensions"     // in the directory of the spool
	suspensionsNew  = "suspensions.new" // while it is being written

	// maxSuspensionsFile limits how much of the file is read, in bytes.
	maxSuspensionsFile = 256 << 20
)

// suspended identifies a suspension.
type suspended struct {
	hop    queue.NextHop
	domain string
}

func suspendedBy(s *queue.Suspension) suspended { return suspended{s.Hop, s.Domain} }

// suspensionFile has the suspensions, in memory and in the file.
type suspensionFile struct {
	fs  fileSystem
	dir string // of the spool

	mu   sync.Mutex // guards list, and writing to the file
	list map[suspended]queue.Suspension
}

func (f *suspensionFile) path() string { return filepath.Join(f.dir, suspensionsName) }

// PutSuspension implements queue.SuspensionStore.
func (s *Spool) PutSuspension(ctx context.Context, su queue.Suspension) error {
	if err := errors.Join(ctx.Err(), s.index.err()); err != nil {
		return err
	}
	f := &s.suspensions
	f.mu.Lock()
	defer f.mu.Unlock()
	key := suspendedBy(&su)
	if _, replaces := f.list[key]; !replaces && len(f.list) >= queue.MaxSuspensions {
		return fmt.Errorf("%w: there are %d suspensions", queue.ErrFull, len(f.list))
	}
	list := maps.Clone(f.list)
	if list == nil {
		list = map[suspended]queue.Suspension{}
	}
	list[key] = su
	return f.replace(list)
}

// RemoveSuspension implements queue.SuspensionStore.
func (s *Spool) RemoveSuspension(ctx context.Context, su queue.Suspension) error {
	if err := errors.Join(ctx.Err(), s.index.err()); err != nil {
		return err
	}
	f := &s.suspensions
	f.mu.Lock()
	defer f.mu.Unlock()
	key := suspendedBy(&su)
	if has, ok := f.list[key]; !ok || !has.Since.Equal(su.Since) {
		return nil
	}
	list := maps.Clone(f.list)
	delete(list, key)
	return f.replace(list)
}

// Suspensions implements queue.SuspensionStore.
func (s *Spool) Suspensions(ctx context.Context) ([]queue.Suspension, error) {
	if err := errors.Join(ctx.Err(), s.index.err()); err != nil {
		return nil, err
	}
	f := &s.suspensions
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.list)), nil
}

// replace makes list durable. The caller has locked mu.
func (f *suspensionFile) replace(list map[suspended]queue.Suspension) error {
	err := f.write(list)
	if err != nil {
		return diskError(err)
	}
	f.list = list
	return nil
}

func (f *suspensionFile) write(list map[suspended]queue.Suspension) error {
	if len(list) == 0 { // needs no disk space
		if err := f.fs.Remove(f.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return f.fs.SyncDir(f.dir)
	}
	name := filepath.Join(f.dir, suspensionsNew)
	if err := f.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that died
		return err
	}
	to, err := f.fs.Open(name, create)
	if err != nil {
		return err
	}
	if err := errors.Join(to.WriteAt([][]byte{encodeSuspensions(list)}, 0), to.Sync(), to.Close()); err != nil {
		f.fs.Remove(name)
		return err
	}
	if err := f.fs.Rename(name, f.path()); err != nil {
		return err
	}
	return f.fs.SyncDir(f.dir)
}

// read reads the file. problem says what is damaged; b has the bytes of the file.
func (f *suspensionFile) read() (b []byte, problem, err error) {
	from, err := f.fs.Open(f.path(), read)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer from.Close()
	size, err := from.Size()
	if err != nil {
		return nil, nil, err
	}
	b = make([]byte, min(size, maxSuspensionsFile))
	n, err := from.ReadAt(b, 0)
	b = b[:n]
	if err == io.EOF {
		err = nil
	}
	f.list, problem = parseSuspensions(string(b))
	return b, errors.Join(err, problem), nil
}

// readSuspensions reads the suspensions. It reports a damaged file.
func (r *replayer) readSuspensions() error {
	f := &r.suspensions
	b, problem, err := f.read()
	if err != nil {
		return err
	}
	if problem == nil {
		return nil
	}
	err = fmt.Errorf("spool: suspensions of next hops are lost, and their mail may be delivered: %w", problem)
	d := Damage{Segment: f.path(), Size: int64(len(b)), Err: err, Saved: r.saveBytes(suspensionsName, b)}
	r.damage(d)
	if d.Saved == "" {
		return nil // the file stays as it is
	}
	if err := f.replace(f.list); err != nil {
		r.logger.Warn("spool: the damaged file of suspensions stays", "file", f.path(), "error", err)
	}
	return nil
}

// encodeSuspensions returns the bytes of the file.
func encodeSuspensions(list map[suspended]queue.Suspension) []byte {
	b := appendLine(nil, strconv.Itoa(len(list)))
	for _, s := range list {
		b = appendLine(b, s.Hop.Connector, s.Hop.Destination, s.Domain, s.Reason, s.By, timeText(s.Since), timeText(s.Until))
	}
	return b
}

func appendLine(b []byte, values ...string) []byte {
	var line []byte
	for _, v := range values {
		line = strconv.AppendQuoteToASCII(append(line, ' '), v)
	}
	return fmt.Appendf(b, "%08x%s\n", checksum(line), line)
}

// timeText returns a time as text, "" for the zero time.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// parseSuspensions decodes the file. If it is damaged, list has the suspensions that
// can be read.
func parseSuspensions(b string) (list map[suspended]queue.Suspension, problem error) {
	list = map[suspended]queue.Suspension{}
	want, n, bad := -1, 0, 0
	for line := range strings.Lines(b) {
		values, ok := parseLine(line)
		switch {
		case ok && len(values) == 1 && n == 0:
			want, _ = strconv.Atoi(values[0])
		case ok && len(values) == 7:
			s, err := suspensionOf(values)
			if err != nil {
				bad++
				break
			}
			list[suspendedBy(&s)] = s
		default:
			bad++
		}
		n++
	}
	if bad > 0 || len(list) != want {
		return list, fmt.Errorf("the file is damaged: %d of its %d lines cannot be read, and %d suspensions are left of %s",
			bad, n, len(list), countText(want))
	}
	return list, nil
}

func countText(n int) string {
	if n < 0 {
		return "an unknown number"
	}
	return strconv.Itoa(n)
}

// parseLine returns the values of a line. ok is false if it is damaged.
func parseLine(line string) (values []string, ok bool) {
	line, whole := strings.CutSuffix(line, "\n")
	if !whole || len(line) < 8 {
		return nil, false
	}
	if sum, err := strconv.ParseUint(line[:8], 16, 32); err != nil || uint32(sum) != checksum([]byte(line[8:])) {
		return nil, false
	}
	for rest := line[8:]; rest != ""; {
		quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(rest, " "))
		if err != nil {
			return nil, false
		}
		v, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, false
		}
		values = append(values, v)
		rest = rest[1+len(quoted):]
	}
	return values, true
}

func suspensionOf(v []string) (s queue.Suspension, err error) {
	s = queue.Suspension{Hop: queue.NextHop{Connector: v[0], Destination: v[1]}, Domain: v[2], Reason: v[3], By: v[4]}
	for i, t := range []*time.Time{&s.Since, &s.Until} {
		if text := v[5+i]; text != "" {
			if *t, err = time.Parse(time.RFC3339Nano, text); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}
