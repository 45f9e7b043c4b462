package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// open opens the segments and finds the key of the spool. It returns the numbers
// of the segments in ascending order.
func (l *recordLog) open() ([]uint32, error) {
	before, _ := readList(l.fs, l.names.path())
	numbers, err := l.list()
	if err != nil {
		return nil, diskError(err)
	}
	if err := l.openSegments(numbers); err != nil {
		return nil, err
	}
	if err := l.findKey(numbers); err != nil {
		return nil, err
	}
	l.findMissing(before, numbers)
	return numbers, nil
}

// list returns the numbers of the segments in ascending order.
func (l *recordLog) list() ([]uint32, error) {
	names, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint32
	for _, d := range names {
		if n, ok := segmentNumber(d.Name()); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func (l *recordLog) openSegments(numbers []uint32) error {
	l.nextNumber = 1
	for _, n := range numbers {
		path := filepath.Join(l.dir, segmentName(n))
		f, err := l.fs.Open(path, read)
		if err != nil {
			return diskError(err)
		}
		size, err := f.Size()
		if err != nil {
			f.Close()
			return diskError(err)
		}
		l.segments[n] = l.newSegment(n, path, f, size)
		if size > math.MaxUint32 { // an offset in a segment has 4 bytes
			return fmt.Errorf("spool: %s has %d bytes, a segment has at most %d", path, size, math.MaxUint32)
		}
		l.nextNumber = n + 1
	}
	return nil
}

// header reads a segment's header.
func (g *segment) header() (h segmentHeader, ok bool) {
	b := make([]byte, segmentHeaderLen)
	if k, _ := g.file.ReadAt(b, 0); k < len(b) {
		return h, false
	}
	return parseSegmentHeader(b)
}

// endOf returns where segment n ends according to the header of the next segment,
// or -1 if that header cannot be read or is about another segment.
func (l *recordLog) endOf(n, next uint32) int64 {
	if h, ok := l.segments[next].header(); ok && h.prev == uint64(n) {
		return h.prevEnd
	}
	return -1
}

// findKey reads the key of the spool. Each segment has it, and so has the key file.
// For a new spool it makes a key. With a wrong key or number, a segment would look
// empty and be deleted. So a segment that was renamed, or copied from another spool,
// is an error; the operator must remove it.
func (l *recordLog) findKey(numbers []uint32) error {
	found := false
	for _, n := range numbers {
		g := l.segments[n]
		h, ok := g.header()
		if !ok {
			continue
		}
		g.prev, g.version, g.scanEnd, g.intact = uint32(h.prev), h.version, h.scanEnd, true
		if h.version > version {
			return fmt.Errorf("spool: %s has format version %d, this program supports %d", g.path, h.version, version)
		}
		if h.number != uint64(n) {
			return fmt.Errorf("spool: %s has the header of segment %d", g.path, h.number)
		}
		if found && h.key != l.key {
			return fmt.Errorf("spool: %s does not belong to the same spool as the segments before it", g.path)
		}
		l.key, found = h.key, true
	}
	var err error
	if !found {
		if found, err = l.readKey(); err == nil && !found {
			err = l.makeKey(numbers)
		}
	}
	for n, g := range l.segments {
		g.salt = l.key.salt(n)
	}
	return err
}

// keyFile returns the path of the key file, in the directory of the spool.
func (l *recordLog) keyFile() string { return filepath.Join(filepath.Dir(l.dir), "key") }

func (l *recordLog) readKey() (found bool, err error) {
	f, err := l.fs.Open(l.keyFile(), read)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, diskError(err)
	}
	defer f.Close()
	n, _ := f.ReadAt(l.key[:], 0)
	return n == len(l.key), nil
}

// makeKey makes the key of a new spool. The key is durable before it is used.
func (l *recordLog) makeKey(numbers []uint32) error {
	if len(numbers) > 0 {
		return fmt.Errorf("spool: neither the header of a segment nor the file %s can be read", l.keyFile())
	}
	rand.Read(l.key[:])
	l.fs.Remove(l.keyFile()) // an incomplete file
	f, err := l.fs.Open(l.keyFile(), create)
	if err != nil {
		return diskError(err)
	}
	spool := filepath.Dir(l.dir)
	err = errors.Join(f.WriteAt([][]byte{l.key[:]}, 0), f.Sync(), f.Close(), l.fs.SyncDir(spool))
	// The directory and its parents may be new, so sync their names too. A
	// directory that this process must not read is not new and needs no sync.
	for dir := spool; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		l.fs.SyncDir(filepath.Dir(dir))
	}
	return diskError(err)
}
