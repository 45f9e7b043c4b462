package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// The segment list is a small file with the numbers of the segments that exist, so that
// recovery can report a segment that is missing. A crash never makes it name a segment
// that does not exist: a new segment is added when its name is durable, before the first
// record is written to it, and a segment is taken out of the list before it is deleted.
// The list is overwritten in place, and needs one sync for each change. If it is torn,
// or if there is none, as in spools of earlier programs, no segment is reported.
//
// All numbers are little endian:
//
//	 0  8  magic "BHlist" and two zeros
//	 8  16 the spool's key
//	24  4  number of runs
//	28  8  each run: the first and the last number of segments without a gap
//	    4  CRC-32C of all bytes before
const listHeaderLen = 28

const (
	listName = "list"   // in the directory log
	listSize = 16 << 10 // of the file, so that no later write needs room

	// maxRuns is how many runs fit into the file. Earlier ones are left out, and their
	// segments would not be reported.
	maxRuns = (listSize - listHeaderLen - 4) / 8
)

var listMagic = [8]byte{'B', 'H', 'l', 'i', 's', 't'}

// A run is a range of segment numbers without a gap.
type run struct{ first, last uint32 }

// A segmentList has the numbers of the segments, in memory and in a file.
type segmentList struct {
	fs     fileSystem
	dir    string // of the segments
	logger *slog.Logger

	mu   sync.Mutex // guards the fields below, and writing to the file
	key  key
	runs []run // ascending
	file file  // nil if there is none
	err  error // of the last write
}

func (l *segmentList) path() string { return filepath.Join(l.dir, listName) }

// start replaces the list with the given numbers, which are in ascending order.
func (l *segmentList) start(k key, numbers []uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.key, l.runs = k, nil
	for _, n := range numbers {
		l.append(n)
	}
	if have, ok := readList(l.fs, l.path()); ok && have.key == k && slices.Equal(have.runs, l.runs) {
		return
	}
	l.logError(l.write())
}

// add adds the number of a new segment, the highest. An error is only logged: the
// segment is then added with the next change.
func (l *segmentList) add(number uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(number)
	l.logError(l.write())
}

func (l *segmentList) append(number uint32) {
	if last := len(l.runs) - 1; last >= 0 && l.runs[last].last+1 == number {
		l.runs[last].last = number
		return
	}
	l.runs = append(l.runs, run{number, number})
}

// remove takes a segment out of the list, before it is deleted. If the list cannot be
// written, remove deletes the file. If that fails too, the segment must stay.
func (l *segmentList) remove(number uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, found := slices.BinarySearchFunc(l.runs, number, func(r run, n uint32) int {
		switch {
		case r.last < n:
			return -1
		case r.first > n:
			return 1
		}
		return 0
	})
	if found {
		var rest []run
		if r := l.runs[i]; r.first < number {
			rest = append(rest, run{r.first, number - 1})
		}
		if r := l.runs[i]; number < r.last {
			rest = append(rest, run{number + 1, r.last})
		}
		l.runs = slices.Replace(l.runs, i, i+1, rest...)
	}
	err := l.write()
	l.logError(err)
	if err == nil {
		return nil
	}
	l.closeFile()
	if err := l.fs.Remove(l.path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return l.fs.SyncDir(l.dir)
}

// write makes the list durable. The caller has locked mu.
func (l *segmentList) write() error {
	b := encodeList(l.key, l.runs)
	if l.file == nil {
		f, err := l.fs.Open(l.path(), write)
		if errors.Is(err, os.ErrNotExist) {
			return l.create(b)
		}
		if err != nil {
			return err
		}
		if size, err := f.Size(); err != nil || size < listSize {
			b = append(b, make([]byte, listSize-len(b))...) // a crash left it incomplete
		}
		l.file = f
	}
	if err := l.file.WriteAt([][]byte{b}, 0); err != nil {
		return err
	}
	return l.file.Sync()
}

// create creates the file with the list b.
func (l *segmentList) create(b []byte) error {
	f, err := l.fs.Open(l.path(), create)
	if err != nil {
		return err
	}
	err = f.WriteAt([][]byte{b, make([]byte, listSize-len(b))}, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.fs.SyncDir(l.dir)
	}
	if err != nil {
		f.Close()
		l.fs.Remove(l.path())
		return err
	}
	l.file = f
	return nil
}

// logError logs the first error of a write after one that succeeded.
func (l *segmentList) logError(err error) {
	if err != nil && l.err == nil {
		l.logger.Warn("spool: cannot write the list of segments, a missing segment would not be reported", "file", l.path(), "error", err)
	}
	l.err = err
}

func (l *segmentList) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeFile()
}

func (l *segmentList) closeFile() {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

// encodeList returns the list as it is in the file.
func encodeList(k key, runs []run) []byte {
	runs = runs[max(0, len(runs)-maxRuns):]
	le := binary.LittleEndian
	b := append(listMagic[:], k[:]...)
	b = le.AppendUint32(b, uint32(len(runs)))
	for _, r := range runs {
		b = le.AppendUint32(le.AppendUint32(b, r.first), r.last)
	}
	return le.AppendUint32(b, checksum(b))
}

// A storedList is a list as it is in the file.
type storedList struct {
	key  key
	runs []run
}

// parseList decodes a list. ok is false if it is not a whole one.
func parseList(b []byte) (l storedList, ok bool) {
	le := binary.LittleEndian
	if len(b) < listHeaderLen || [8]byte(b) != listMagic {
		return l, false
	}
	l.key = key(b[8:24])
	n := int64(le.Uint32(b[24:]))
	end := listHeaderLen + 8*n
	if end+4 > int64(len(b)) || le.Uint32(b[end:]) != checksum(b[:end]) {
		return l, false
	}
	for at := int64(listHeaderLen); at < end; at += 8 {
		r := run{le.Uint32(b[at:]), le.Uint32(b[at+4:])}
		if r.first > r.last || len(l.runs) > 0 && r.first <= l.runs[len(l.runs)-1].last {
			return l, false
		}
		l.runs = append(l.runs, r)
	}
	return l, true
}

func readList(fsys fileSystem, path string) (l storedList, ok bool) {
	f, err := fsys.Open(path, read)
	if err != nil {
		return l, false
	}
	defer f.Close()
	b := make([]byte, listSize)
	n, _ := f.ReadAt(b, 0)
	return parseList(b[:n])
}

// missing returns the runs of numbers up to last that are in the list and not in have,
// which is in ascending order.
func (l *storedList) missing(have []uint32, last uint32) (gaps []run) {
	for _, r := range l.runs {
		first := uint64(r.first)
		end := uint64(min(r.last, last))
		i, _ := slices.BinarySearch(have, r.first)
		for ; i < len(have) && uint64(have[i]) <= end; i++ {
			if n := uint64(have[i]); first < n {
				gaps = append(gaps, run{uint32(first), uint32(n - 1)})
			}
			first = uint64(have[i]) + 1
		}
		if first <= end {
			gaps = append(gaps, run{uint32(first), uint32(end)})
		}
	}
	return gaps
}

// last returns the highest number in the list, 0 if it is empty.
func (l *storedList) last() uint32 {
	if len(l.runs) == 0 {
		return 0
	}
	return l.runs[len(l.runs)-1].last
}

// findMissing finds the segments that are in the list and do not exist. before is the
// list as it was before the names of the segments were read. If a relay is using the
// spool, it may have begun a segment since then, which is not in before, or deleted
// one, which is not in the list any more.
func (l *recordLog) findMissing(before storedList, numbers []uint32) {
	now, ok := readList(l.fs, l.names.path())
	if !ok || now.key != l.key || before.key != l.key {
		return
	}
	l.missing = now.missing(numbers, before.last())
	for _, r := range l.missing {
		l.nextNumber = max(l.nextNumber, r.last+1) // the segment may be found again
	}
}

// err describes the missing segments of a run.
func (r run) err() error {
	if r.first == r.last {
		return errors.New("spool: the segment is missing, its messages are lost")
	}
	return fmt.Errorf("spool: the segments from this one to %s are missing, their messages are lost", segmentName(r.last))
}
