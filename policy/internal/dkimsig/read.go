package dkimsig

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxHeader is the maximum size of a header section.
const maxHeader = 1 << 20

// ReadFields reads a header section of at most 1 MiB and the blank line after it.
// Each field ends with CRLF, even if the message ends within the field.
func ReadFields(r *bufio.Reader) (fields [][]byte, err error) {
	var line []byte
	for size := 0; ; {
		piece, err := r.ReadSlice('\n')
		if size += len(piece); size > maxHeader {
			return nil, errors.New("the header is longer than 1 MiB")
		}
		line = append(line, piece...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return fields, nil
		}
		if err == io.EOF {
			line = append(line, "\r\n"...)
		}
		if n := len(fields); n > 0 && (line[0] == ' ' || line[0] == '\t') {
			fields[n-1] = append(fields[n-1], line...)
		} else {
			fields = append(fields, line)
		}
		line = nil
	}
}
