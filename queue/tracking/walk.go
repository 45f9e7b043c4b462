package tracking

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxLine is the maximum length of a line in bytes. A Log never writes a longer
// one: a line has 23 columns, and most of them are short. Longer lines are
// ignored.
const maxLine = 1 << 20

// block is how many bytes walkBackward reads at once at first.
const block = 64 << 10

// A walk visits the lines of a log in the order of their position, or in the
// opposite order.
type walk struct {
	files []logFile // oldest first
	from  position  // where it begins; the zero file means at the first line of the walk
	// outside, if not nil, reports that no line of a file is needed.
	outside func(logFile, io.ReaderAt) bool
	// visit is called with each whole line, without its line end, and the number of
	// bytes of the file that it takes. next is the position after it. The walk ends
	// if visit returns false. line is valid until visit returns.
	visit func(line []byte, size int64, next position) bool
}

// errStop ends a walk.
var errStop = errors.New("tracking: stop")

// run visits the lines. It returns the position at which the next walk goes on, and
// whether visit has returned true for all lines. It stops with the error of ctx
// when ctx ends.
func (w *walk) run(ctx context.Context) (next position, complete bool, err error) {
	next = w.from
	started := w.from.file == (logFile{})
	for i := range w.files {
		f := w.files[i]
		if w.from.backward {
			f = w.files[len(w.files)-1-i]
		}
		if !started {
			c := f.compare(w.from.file)
			if w.from.backward && c > 0 || !w.from.backward && c < 0 {
				continue
			}
		}
		err := w.file(ctx, f, &next)
		if errors.Is(err, errStop) {
			return next, false, nil
		}
		if err != nil {
			return next, false, err
		}
	}
	return next, true, nil
}

// file visits the lines of one file. The file may be gone: the log has removed it.
func (w *walk) file(ctx context.Context, f logFile, next *position) error {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tracking: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("tracking: %w", err)
	}
	begin, end := int64(0), info.Size()
	if f.compare(w.from.file) == 0 {
		if err := fits(file, w.from.offset, end); err != nil {
			return err
		}
		if begin = w.from.offset; w.from.backward {
			begin, end = 0, w.from.offset
		}
	} else if w.outside != nil && w.outside(f, file) {
		return nil
	}
	f.path = ""
	visit := func(line []byte, size, offset int64) error {
		*next = position{f, offset, w.from.backward}
		if !w.visit(line, size, *next) {
			return errStop
		}
		return nil
	}
	if w.from.backward {
		return walkBackward(ctx, file, end, visit)
	}
	*next = position{file: f, offset: begin}
	return walkForward(ctx, file, begin, end, visit)
}

// fits returns an error if offset is not the beginning or the end of a line.
func fits(file io.ReaderAt, offset, size int64) error {
	var b [1]byte
	if offset > 0 && offset <= size {
		if _, err := file.ReadAt(b[:], offset-1); err != nil {
			return fmt.Errorf("tracking: %w", err)
		}
	}
	if offset > size || offset > 0 && b[0] != '\n' {
		return errors.New("tracking: the cursor does not belong to this log")
	}
	return nil
}

// walkForward visits the whole lines from begin to end. Bytes after the last line
// end belong to a line that is not written completely.
func walkForward(ctx context.Context, file io.ReaderAt, begin, end int64, visit func(line []byte, size, next int64) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(file, begin, end-begin), maxLine)
	at := begin
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := r.ReadSlice('\n')
		size := int64(len(line))
		for err == bufio.ErrBufferFull { // too long
			var rest []byte
			rest, err = r.ReadSlice('\n')
			size += int64(len(rest))
			line = nil
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("tracking: %w", err)
		}
		at += size
		if err := visit(trimEnd(line), size, at); err != nil {
			return err
		}
	}
}

// walkBackward visits the whole lines before end, from the last to the first. It
// reads a line again with a larger block if the block begins within the line.
func walkBackward(ctx context.Context, file io.ReaderAt, end int64, visit func(line []byte, size, next int64) error) error {
	buf := make([]byte, block)
	dropped := int64(0) // bytes that belong to no whole line, or to one that is too long
	for end > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		begin := max(0, end-int64(len(buf)))
		b := buf[:end-begin]
		if _, err := file.ReadAt(b, begin); err != nil {
			return fmt.Errorf("tracking: %w", err)
		}
		whole := b // the lines of b that are complete
		if n := bytes.LastIndexByte(b, '\n'); n+1 < len(b) {
			dropped += int64(len(b) - n - 1)
			end -= int64(len(b) - n - 1)
			whole = b[:n+1]
		}
		if begin > 0 && len(whole) > 0 {
			whole = whole[bytes.IndexByte(whole, '\n')+1:] // the first line may begin before the block
			if len(whole) == 0 {
				switch {
				case end-begin < int64(len(buf)): // the next block ends with a line
				case len(buf) <= maxLine:
					buf = make([]byte, 2*len(buf))
				default:
					dropped += end - begin
					end = begin
				}
				continue
			}
		}
		for len(whole) > 0 {
			line := whole[bytes.LastIndexByte(whole[:len(whole)-1], '\n')+1:]
			whole = whole[:len(whole)-len(line)]
			end -= int64(len(line))
			if err := visit(trimEnd(line), int64(len(line))+dropped, end); err != nil {
				return err
			}
			dropped = 0
		}
	}
	return nil
}

// trimEnd removes the line end.
func trimEnd(line []byte) []byte {
	line, _ = bytes.CutSuffix(line, []byte("\n"))
	line, _ = bytes.CutSuffix(line, []byte("\r"))
	return line
}
