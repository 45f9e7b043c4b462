package dkim

import (
	"bufio"
	"io"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
)

// A source is the body of a message. again returns a new reader from the
// beginning of the body, or nil if the body cannot be read a second time.
type source struct {
	body  io.Reader
	again func() io.Reader
}

// openSource reads the header of a message. The source is its body. A bare LF
// becomes CRLF, and a bare CR becomes a space.
func openSource(r io.Reader) (fields [][]byte, _ source, err error) {
	start := int64(-1)
	seeker, _ := r.(io.Seeker)
	if seeker != nil {
		if start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			start = -1
		}
	}
	fields, body, err := openOnce(r)
	return fields, source{body, func() io.Reader {
		if start < 0 {
			return nil
		}
		if _, err := seeker.Seek(start, io.SeekStart); err != nil {
			return nil
		}
		_, body, err := openOnce(r)
		if err != nil {
			return nil
		}
		return body
	}}, err
}

func openOnce(r io.Reader) ([][]byte, io.Reader, error) {
	br := bufio.NewReader(content.NewCanonicalReader(r))
	fields, err := dkimsig.ReadFields(br)
	return fields, br, err
}
