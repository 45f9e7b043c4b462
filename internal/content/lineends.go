package content

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// CheckLineEnds returns an error if a message contains a bare CR or a bare LF:
// one that is not part of a CRLF (RFC 5322, 2.3). The error has the number of
// the line. readErr is the error of c, if it could not be read.
func CheckLineEnds(c io.WriterTo) (bare, readErr error) {
	var s lineEndScanner
	_, err := c.WriteTo(&s)
	switch {
	case s.bare == 0 && s.cr && err == nil:
		s.bare = '\r' // the last byte
	case s.bare == 0:
		return nil, err
	}
	name := map[byte]string{'\r': "CR", '\n': "LF"}[s.bare]
	return fmt.Errorf("line %d has a bare %s: lines must end with CRLF", s.lines+1, name), nil
}

// lineEndScanner is a Writer that finds the first bare CR or LF and stops there.
type lineEndScanner struct {
	lines int  // complete lines so far
	cr    bool // the last byte was a CR
	bare  byte // the bare byte; 0 if there is none so far
}

var errBare = errors.New("bare CR or LF")

// Write implements io.Writer.
func (s *lineEndScanner) Write(p []byte) (int, error) {
	written := len(p)
	if s.cr && len(p) > 0 {
		if p[0] != '\n' {
			return s.stop('\r')
		}
		s.lines, p = s.lines+1, p[1:]
	}
	s.cr = false
	for len(p) > 0 {
		line := p
		i := bytes.IndexByte(p, '\n')
		if i >= 0 {
			line, p = p[:i], p[i+1:]
		} else {
			p = nil
		}
		switch cr := bytes.IndexByte(line, '\r'); {
		case cr >= 0 && cr < len(line)-1:
			return s.stop('\r')
		case i >= 0 && cr < 0:
			return s.stop('\n')
		case i >= 0:
			s.lines++
		default:
			s.cr = cr >= 0
		}
	}
	return written, nil
}

func (s *lineEndScanner) stop(bare byte) (int, error) {
	s.bare = bare
	return 0, errBare
}
