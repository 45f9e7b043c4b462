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

// Limits of a reply. RFC 5321, 4.5.3.1.5 allows 512 octets in a line, but some
// hosts send longer lines.
const (
	maxReplyLine  = 4 << 10
	maxReplyLines = 256
	maxReplyBytes = 32 << 10
)

// aLongTimeAgo is a deadline that ends pending reads and writes.
var aLongTimeAgo = time.Unix(1, 0)

// noDeadline removes a deadline.
var noDeadline time.Time

// wire writes commands to a connection and reads replies, each within a
// timeout. It belongs to one goroutine. When a context ends, another goroutine
// sets a deadline, and does nothing else.
type wire struct {
	conn net.Conn // for reading and writing: raw, or TLS over raw
	raw  net.Conn // for deadlines

	buf  []byte // buf[r:w] is read but not used
	r, w int
	text []byte // the text of the last reply with several lines

	out []byte // commands not yet written

	mon *monitor // nil without a Transport

	ctx    context.Context
	end    func() bool // ends what begin began
	bounds bounds      // of the attempt that uses the session
	armed  bool        // the read deadline for the next reply is set
}

func (w *wire) setConn(conn net.Conn) {
	w.conn, w.raw = conn, conn
	w.buf = make([]byte, maxReplyLine)
	w.r, w.w = 0, 0
}

// begin ends pending operations when ctx ends, until w.end is called. w.end
// reports whether the connection is still usable, which it is not if ctx has
// ended.
func (w *wire) begin(ctx context.Context) {
	w.ctx = ctx
	if ctx.Done() == nil {
		w.end = func() bool { return true }
		return
	}
	raw := w.raw
	w.end = context.AfterFunc(ctx, func() { raw.SetDeadline(aLongTimeAgo) })
}

// replaceContext has only the end of ctx end pending operations from now on. It
// fails if the context before has ended. A nil ctx changes nothing.
func (w *wire) replaceContext(ctx context.Context) error {
	if ctx == nil {
		return nil
	}
	if !w.end() {
		w.end = func() bool { return false }
		return w.ctx.Err()
	}
	w.begin(ctx)
	return nil
}

// arm sets a deadline with set, which is a method of raw: the timeout d from
// now, or sooner if the bounds of the attempt say so. It checks the context
// afterwards: if the context ends later, its deadline is also set later and so
// is not overwritten.
func (w *wire) arm(set func(time.Time) error, d time.Duration) error {
	now := time.Now()
	w.mon.sent(now)
	if err := set(w.bounds.deadline(now, d)); err != nil {
		return w.cause(err)
	}
	return w.ctx.Err()
}

// flush writes the commands in out. The timeout of the first reply begins here.
func (w *wire) flush(d time.Duration) error {
	if len(w.out) == 0 {
		return nil
	}
	if err := w.arm(w.raw.SetDeadline, d); err != nil {
		return err
	}
	w.armed = true
	n, err := w.conn.Write(w.out)
	w.mon.out(n)
	w.out = w.out[:0]
	return w.cause(err)
}

// cause returns the context's error if the end of the context is the reason for
// err, and otherwise err. It adds errAttemptTime if the end of the attempt's time
// is the reason, and is errEnded if EndSession is.
func (w *wire) cause(err error) error {
	if err != nil && w.mon.isCut() {
		return errEnded
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && w.ctx.Err() != nil {
		if cause := context.Cause(w.ctx); cause != w.ctx.Err() {
			return fmt.Errorf("%w: %w", w.ctx.Err(), cause)
		}
		return w.ctx.Err()
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && w.bounds.over(time.Now()) {
		return fmt.Errorf("%w: %w", errAttemptTime, err)
	}
	return err
}

// readLine returns the next line without its line end (CRLF or LF). The line is
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
	w.mon.in(n)
	if n > 0 {
		return nil // the next read returns the error again
	}
	return w.cause(err)
}

// buffered reports whether the host has sent something that was not read yet as
// a reply.
func (w *wire) buffered() bool { return w.w > w.r }

// hasReply reports whether a reply has arrived that was not read yet.
func (w *wire) hasReply() bool {
	for rest := w.buf[w.r:w.w]; ; {
		line, after, complete := bytes.Cut(rest, []byte("\n"))
		if !complete {
			return false
		}
		if len(line) < 4 || line[3] != '-' {
			return true
		}
		rest = after
	}
}
