package smtpclient

import (
	"bytes"
	"fmt"
	"net"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

var (
	crlf    = []byte("\r\n")
	dot     = []byte(".")
	lastDot = []byte(".\r\n")
)

const (
	// maxVector bounds what one write holds, so that DataBlock is a bound on
	// a piece of the content and not on a whole large message.
	maxVector = 128 << 10
	// maxBlock is what is collected for one write where the connection does
	// not take several pieces at once: one TLS record.
	maxBlock = 16 << 10
)

// contentWriter writes content in the form of DATA: a dot before each line
// that begins with one (RFC 5321, 4.5.2), and every line end a CRLF. Content
// that is canonical already, as all is that came in by SMTP, is handed to the
// connection without being copied; a bare LF becomes CRLF, a bare CR a space, so
// that no host can take for a line end what we did not.
type contentWriter struct {
	w     *wire
	block time.Duration

	vector bool // the connection takes many pieces in one system call
	stable bool // pieces stay valid after Write, no need to flush

	vec     net.Buffers // pieces to be written
	tail    net.Buffers // what of vec is being written
	pending int         // octets in vec or buf
	buf     []byte      // collects pieces where vector is false
	clean   []byte      // a piece made canonical

	midLine bool // the last octet written was not the end of a line
	heldCR  bool // a CR at the end of a piece: is it a line end?

	n    int64 // octets taken
	size int64 // that there should be
	err  error // the connection's error
}

func (c *contentWriter) reset(w *wire, block time.Duration) {
	c.w, c.block = w, block
	switch w.conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		c.vector = true
	default:
		c.vector = false
	}
	c.vec, c.buf = c.vec[:0], c.buf[:0]
	c.pending, c.n, c.err = 0, 0, nil
	c.stable, c.midLine, c.heldCR = false, false, false
}

// writeData writes all of m and the final dot. When it returns an error, the
// final dot did not go out.
func (c *contentWriter) writeData(m Content) error {
	if err := c.writeAll(m, c); err != nil {
		return err
	}
	if c.heldCR {
		c.emit([]byte(" "))
		c.midLine = true
	}
	if c.midLine {
		c.emit(crlf)
	}
	c.emit(lastDot)
	c.flush()
	return c.err
}

// writeRaw writes m as it is from octet from on, for BDAT, and a CRLF behind
// it where end says so.
func (c *contentWriter) writeRaw(m Content, from int, end bool) error {
	if err := c.writeAll(m, &rawWriter{c, from}); err != nil {
		return err
	}
	if end {
		c.emit(crlf)
	}
	c.flush()
	return c.err
}

type writer interface{ Write([]byte) (int, error) }

// writeAll has m written to w, which is c or the raw view of it, and sees to
// it that all of it came.
func (c *contentWriter) writeAll(m Content, w writer) error {
	var err error
	c.size = m.Size()
	if mem, ok := m.(*content.Content); ok && mem.InMemory() {
		c.stable = true // its memory does not change: no need to flush each piece
		for _, p := range mem.Parts() {
			w.Write(p.Bytes)
		}
	} else {
		_, err = m.WriteTo(w)
	}
	switch {
	case c.err != nil:
		return c.err
	case err != nil:
		return fmt.Errorf("%w: %w", errContent, err)
	case c.n != c.size:
		return fmt.Errorf("%w: %d octets of %d", errContent, c.n, c.size)
	}
	return nil
}

// Write takes a piece of the content.
func (c *contentWriter) Write(p []byte) (int, error) {
	n := len(p)
	if err := c.count(n); err != nil {
		return 0, err
	}
	if c.heldCR && n > 0 {
		c.heldCR = false
		if p[0] == '\n' {
			c.emit(crlf)
			c.midLine = false
			p = p[1:]
		} else {
			c.emit([]byte(" "))
			c.midLine = true
		}
	}
	if len(p) > 0 && p[len(p)-1] == '\r' {
		c.heldCR = true
		p = p[:len(p)-1]
	}
	if len(p) > 0 {
		if !content.Canonical(p) {
			c.clean = content.AppendCanonical(c.clean[:0], p)
			c.stuff(c.clean)
			c.flush() // clean is used again
		} else {
			c.stuff(p)
		}
	}
	return n, c.settle()
}

// count keeps content from being longer than it said: behind the end of a chunk
// the host reads commands.
func (c *contentWriter) count(n int) error {
	if c.n += int64(n); c.n > c.size {
		return fmt.Errorf("longer than its %d octets", c.size)
	}
	return nil
}

// settle flushes what would not be valid any more after Write returns.
func (c *contentWriter) settle() error {
	if !c.stable && c.vector {
		c.flush()
	}
	return c.err
}

// rawWriter takes pieces as they are, but for the first octets, which were
// sent before.
type rawWriter struct {
	c    *contentWriter
	skip int
}

func (r *rawWriter) Write(p []byte) (int, error) {
	if err := r.c.count(len(p)); err != nil {
		return 0, err
	}
	n := min(r.skip, len(p))
	r.skip -= n
	r.c.emit(p[n:])
	return len(p), r.c.settle()
}

// stuff emits a canonical piece with dots before its lines that begin with one.
func (c *contentWriter) stuff(p []byte) {
	if !c.midLine && p[0] == '.' {
		c.emit(dot)
	}
	c.midLine = p[len(p)-1] != '\n'
	for {
		i := bytes.Index(p, []byte("\n."))
		if i < 0 {
			break
		}
		c.emit(p[:i+1])
		c.emit(dot)
		p = p[i+1:]
	}
	c.emit(p)
}

// emit puts p in line for the connection.
func (c *contentWriter) emit(p []byte) {
	if c.err != nil || len(p) == 0 {
		return
	}
	if c.vector {
		// A large piece is cut, so that each write is a bounded one.
		for len(p) > maxVector {
			c.vec = append(c.vec, p[:maxVector])
			c.pending += maxVector
			p = p[maxVector:]
			c.flush()
		}
		c.vec = append(c.vec, p)
		c.pending += len(p)
		if c.pending >= maxVector {
			c.flush()
		}
		return
	}
	for len(p) > 0 {
		if cap(c.buf) == 0 {
			c.buf = make([]byte, 0, maxBlock)
		}
		n := copy(c.buf[len(c.buf):cap(c.buf)], p)
		c.buf = c.buf[:len(c.buf)+n]
		p = p[n:]
		if len(c.buf) == cap(c.buf) {
			c.flush()
		}
	}
}

// flush writes what is in line, the commands that wait in out before it.
func (c *contentWriter) flush() {
	if c.err != nil || len(c.vec) == 0 && len(c.buf) == 0 {
		return
	}
	if c.err = c.w.arm(c.w.raw.SetWriteDeadline, c.block); c.err != nil {
		return
	}
	var err error
	if c.vector {
		c.tail = c.vec
		_, err = c.tail.WriteTo(c.w.conn)
		clear(c.vec)
		c.vec = c.vec[:0]
	} else {
		_, err = c.w.conn.Write(c.buf)
		c.buf = c.buf[:0]
	}
	c.pending = 0
	c.err = c.w.cause(err)
}
