package envelope

import "io"

// Content is the content of a message: header, blank line and body, with CRLF line
// ends and without dot-stuffing. It can be read any number of times, and by several
// goroutines at once.
type Content interface {
	io.ReaderAt
	// WriteTo writes all of the content, each time from the first byte.
	io.WriterTo
	// Size returns the size in bytes.
	Size() int64
}
