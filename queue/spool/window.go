package spool

import "io"

// windowSize is how many bytes a window reads at a time. Most records are shorter.
const windowSize = 1 << 20

// A window gives access to the bytes of a file. It holds windowSize of them in memory,
// or one record if that is longer.
type window struct {
	file io.ReaderAt
	size int64 // of the file
	buf  []byte
	off  int64 // of buf in the file
	err  error // the first error of a read; what it concerns reads as zeros
}

// at returns n bytes at off, which are valid until the next call. It returns nil if the
// file does not have them.
func (w *window) at(off, n int64) []byte {
	if off < 0 || n < 0 || n > w.size-off {
		return nil
	}
	if off < w.off || off+n > w.off+int64(len(w.buf)) {
		w.load(off, n)
	}
	return w.buf[off-w.off:][:n]
}

// load reads at least n bytes from off on.
func (w *window) load(off, n int64) {
	if n > int64(cap(w.buf)) || n <= windowSize && cap(w.buf) > windowSize {
		w.buf = make([]byte, max(n, min(windowSize, w.size)))
	}
	w.off = off
	w.buf = w.buf[:min(max(n, windowSize), w.size-off, int64(cap(w.buf)))]
	k, err := w.file.ReadAt(w.buf, off)
	if k == len(w.buf) {
		return
	}
	if err == nil || err == io.EOF { // the file has become shorter
		clear(w.buf[k:])
		return
	}
	if w.err == nil {
		w.err = err
	}
	readPieces(w.file, w.buf, off)
}

// readPieces reads the parts of a file that can be read. The rest becomes zeros,
// which are not a record.
func readPieces(f io.ReaderAt, b []byte, off int64) {
	const piece = 4 << 10
	for i := 0; i < len(b); i += piece {
		p := b[i:min(i+piece, len(b))]
		if n, err := f.ReadAt(p, off+int64(i)); n < len(p) && err != nil {
			clear(p)
		}
	}
}
