package smtpclient

import (
	"bytes"
	"context"
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
	// maxVector is the maximum number of octets of one write, so that
	// Timeouts.DataBlock limits the time of one write and not of a whole large
	// message.
	maxVector = 128 << 10
	// maxBlock is the size of the buffer for one write if the connection cannot
	// write several pieces at once: one TLS record.
	maxBlock = 16 << 10
)

// contentWriter writes content in the form of DATA: it puts a dot before each
// line that begins with one (RFC 5321, 4.5.2) and ends every line with CRLF.
// Content that already has this form, as all content that was received by SMTP,
// is written without being copied. A bare LF becomes CRLF and a bare CR a space,
// so that the host does not see a line end where this package sees none.
type contentWriter struct {
	w     *wire
	block time.Duration

	vector bool // the connection writes many pieces in one system call
	stable bool // pieces stay valid after Write, so no flush is needed
	most   int  // the most octets of one write

	vec     net.Buffers // pieces to be written
	tail    net.Buffers // the part of vec that is being written
	pending int         // octets in vec or buf
	buf     []byte      // collects pieces if vector is false
	clean   []byte      // a piece in canonical form

	midLine bool // the last octet written was not the end of a line
	endCR   bool // the last piece ended with CR, which is not written yet

	n    int64 // octets read from the content
	size int64 // the size of the content
	err  error // the connection's error

	reply     context.Context             // Message.ReplyContext
	mayFinish func(context.Context) error // Message.MayFinish
}

func (c *contentWriter) reset(w *wire, block time.Duration) {
	c.w, c.block, c.most = w, block, maxVector
	if w.bounds.phase > 0 {
		c.most = hurryBlock
	}
	switch w.conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		c.vector = true
	default:
		c.vector = false
	}
	c.vec, c.buf = c.vec[:0], c.buf[:0]
	c.pending, c.n, c.err = 0, 0, nil
	c.stable, c.midLine, c.endCR = false, false, false
}

// writeData writes all of m and the final dot. If it returns an error, the
// final dot was not sent.
func (c *contentWriter) writeData(m Content) error {
	if err := c.writeAll(m, c); err != nil {
		return err
	}
	if c.endCR {
		c.emit([]byte(" "))
		c.midLine = true
	}
	if c.midLine {
		c.emit(crlf)
	}
	c.finish()
	c.emit(lastDot)
	c.flush()
	return c.err
}

// finish is called before the octets are sent that end the data. After an error,
// they are not sent.
func (c *contentWriter) finish() {
	if c.err == nil {
		c.err = c.w.replaceContext(c.reply)
	}
	if c.err == nil {
		c.err = c.w.mon.commit()
	}
	if c.err == nil && c.mayFinish != nil {
		if err := c.mayFinish(c.w.ctx); err != nil {
			c.err = &unfinishedError{err}
		}
	}
}

// writeRaw writes m unchanged for BDAT, beginning with the octet from. If end is
// true, it adds CRLF. If it returns an error, the last octet was not sent.
func (c *contentWriter) writeRaw(m Content, from int, end bool) error {
	w := &rawWriter{c: c, skip: from, keep: !end}
	if err := c.writeAll(m, w); err != nil {
		return err
	}
	c.finish()
	if end {
		c.emit(crlf)
	} else {
		c.emit(w.last)
	}
	c.flush()
	return c.err
}

type writer interface{ Write([]byte) (int, error) }

// writeAll writes m to w, which is c or a rawWriter of c, and checks that m
// wrote as many octets as its size.
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
		return fmt.Errorf("%w: read %d of %d octets", errContent, c.n, c.size)
	}
	return nil
}

// Write implements io.Writer for pieces of the content.
func (c *contentWriter) Write(p []byte) (int, error) {
	n := len(p)
	if err := c.count(n); err != nil {
		return 0, err
	}
	if c.endCR && n > 0 {
		c.endCR = false
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
		c.endCR = true
		p = p[:len(p)-1]
	}
	if len(p) > 0 {
		if !content.Canonical(p) {
			c.clean = content.AppendCanonical(c.clean[:0], p)
			c.stuff(c.clean)
			c.flush() // before clean is used again
		} else {
			c.stuff(p)
		}
	}
	return n, c.settle()
}

// count fails if the content is longer than its size: the host reads what
// follows the end of a chunk as commands.
func (c *contentWriter) count(n int) error {
	if c.n += int64(n); c.n > c.size {
		return fmt.Errorf("the content is longer than its size of %d octets", c.size)
	}
	return nil
}

// settle flushes pieces that are not valid after Write returns.
func (c *contentWriter) settle() error {
	if !c.stable && c.vector {
		c.flush()
	}
	return c.err
}

// rawWriter writes pieces unchanged. It skips the first octets, which were sent
// before. If keep is true, it does not write the last octet but keeps it in last.
type rawWriter struct {
	c    *contentWriter
	skip int
	keep bool
	last []byte
}

func (r *rawWriter) Write(p []byte) (int, error) {
	if err := r.c.count(len(p)); err != nil {
		return 0, err
	}
	n, end := min(r.skip, len(p)), len(p)
	r.skip -= n
	if r.keep && r.c.n == r.c.size && end > n {
		end--
		r.last = []byte{p[end]} // p is not valid later
	}
	r.c.emit(p[n:end])
	return len(p), r.c.settle()
}

// stuff emits a canonical piece with dot-stuffing (RFC 5321, 4.5.2).
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

// emit adds p to what will be written, and flushes when that is enough for one
// write.
func (c *contentWriter) emit(p []byte) {
	if c.err != nil || len(p) == 0 {
		return
	}
	if c.vector {
		// Split a large piece, so that each write is limited.
		for len(p) > c.most {
			c.vec = append(c.vec, p[:c.most])
			c.pending += c.most
			p = p[c.most:]
			c.flush()
		}
		c.vec = append(c.vec, p)
		c.pending += len(p)
		if c.pending >= c.most {
			c.flush()
		}
		return
	}
	for len(p) > 0 && c.err == nil { // flush keeps the buffer full after an error
		if cap(c.buf) == 0 {
			c.buf = make([]byte, 0, maxBlock)
		}
		n := copy(c.buf[len(c.buf):cap(c.buf)], p)
		c.pending += n
		c.buf = c.buf[:len(c.buf)+n]
		p = p[n:]
		if len(c.buf) == cap(c.buf) {
			c.flush()
		}
	}
}

// flush writes all pieces that emit has collected.
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
	c.w.mon.out(c.pending)
	c.pending = 0
	c.err = c.w.cause(err)
}
