package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Bounds on what a host may say. RFC 5321, 4.5.3.1.5 gives a reply line 512
// octets; hosts exceed that, but not without end.
const (
	maxReplyLine  = 4 << 10
	maxReplyLines = 256
	maxReplyBytes = 32 << 10
)

// aLongTimeAgo as a deadline wakes whoever waits.
var aLongTimeAgo = time.Unix(1, 0)

// noDeadline as a deadline takes it away.
var noDeadline time.Time

// wire is a connection on which commands are written and replies read, each
// within a time. It belongs to one goroutine; only cancellation comes from
// another one, and that does nothing but set a deadline.
type wire struct {
	conn net.Conn // what is spoken over: raw, or TLS above it
	raw  net.Conn // what takes deadlines

	buf  []byte // buf[r:w] is read but not used
	r, w int
	text []byte // the text of the last reply that had several lines

	out []byte // commands not yet written

	ctx   context.Context
	armed bool // the read deadline for the next reply is set
}

func (w *wire) setConn(conn net.Conn) {
	w.conn, w.raw = conn, conn
	w.buf = make([]byte, maxReplyLine)
	w.r, w.w = 0, 0
}

// begin binds what follows to ctx until the returned function is called. That
// one says whether the connection is still good: it is not when ctx ended.
func (w *wire) begin(ctx context.Context) (end func() bool) {
	w.ctx = ctx
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	raw := w.raw
	return context.AfterFunc(ctx, func() { raw.SetDeadline(aLongTimeAgo) })
}

// arm sets a deadline by set, which is a method of raw. It looks at the
// context afterwards: if that ends later, its own deadline comes later too.
func (w *wire) arm(set func(time.Time) error, d time.Duration) error {
	if err := set(time.Now().Add(d)); err != nil {
		return err
	}
	return w.ctx.Err()
}

// flush writes the commands in out. The first reply's time runs from here.
func (w *wire) flush(d time.Duration) error {
	if len(w.out) == 0 {
		return nil
	}
	if err := w.arm(w.raw.SetDeadline, d); err != nil {
		return err
	}
	w.armed = true
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	return w.cause(err)
}

// cause is the context's error where that is why an operation failed.
func (w *wire) cause(err error) error {
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && w.ctx.Err() != nil {
		if cause := context.Cause(w.ctx); cause != w.ctx.Err() {
			return fmt.Errorf("%w: %w", w.ctx.Err(), cause)
		}
		return w.ctx.Err()
	}
	return err
}

// readLine returns the next line without its line end, CRLF or LF. It is
// valid until the next call.
func (w *wire) readLine(d time.Duration) ([]byte, error) {
	for searched := 0; ; {
		if i := bytes.IndexByte(w.buf[w.r+searched:w.w], '\n'); i >= 0 {
			line := w.buf[w.r : w.r+searched+i]
			w.r += searched + i + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		searched = w.w - w.r
		if searched == len(w.buf) {
			return nil, errLongLine
		}
		if err := w.fill(d); err != nil {
			return nil, err
		}
	}
}

var errLongLine = errors.New("reply line too long")

// fill reads more into buf. All reads for one reply have one deadline.
func (w *wire) fill(d time.Duration) error {
	if w.r > 0 {
		copy(w.buf, w.buf[w.r:w.w])
		w.w -= w.r
		w.r = 0
	}
	if !w.armed {
		if err := w.arm(w.raw.SetReadDeadline, d); err != nil {
			return err
		}
		w.armed = true
	}
	n, err := w.conn.Read(w.buf[w.w:])
	w.w += n
	if n > 0 {
		return nil // an error comes again with the next read
	}
	return w.cause(err)
}

// buffered says whether something was read that nobody asked for.
func (w *wire) buffered() bool { return w.w > w.r }
