package smtpserver

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// inputSize is the size of an input buffer. It is so large that a big message
// needs few system calls. Only sessions with unread input have a buffer.
const inputSize = 128 << 10

// commandInput is how much is read at once while the server expects commands.
// It limits the memory for a client that sends many commands and does not read
// the replies.
const commandInput = 16 << 10

var inputBuffers = sync.Pool{New: func() any { return new([inputSize]byte) }}

// waitSize is the size of the buffer of a waiting connection that cannot wait
// without a buffer (TLS).
const waitSize = 256

// input reads from a connection. While it waits for the client it has no
// buffer, only the bytes of an unfinished line. So an idle connection needs
// only its goroutine and its Session. To wait without a buffer, it uses
// syscall.RawConn, whose callback takes a buffer for the read itself.
type input struct {
	conn net.Conn
	n    *atomic.Int64   // counts the bytes read; may be nil
	raw  syscall.RawConn // nil if conn is not a socket
	try  func(fd uintptr) bool
	room int   // how much try may read
	err  error // of the last call of try

	buf  *[inputSize]byte // nil while nothing is buffered
	r, w int              // buf[r:w] is unread
	held []byte           // unread bytes while buf is nil
	wait []byte           // for conns without raw
	more bool             // the last read filled wait: there is probably more input
}

func (in *input) reset(c net.Conn) {
	in.drop()
	in.conn, in.raw, in.wait, in.more = c, rawConn(c), nil, false
	if in.raw != nil && in.try == nil {
		in.try = in.tryRead
	}
}

// buffered returns the unread input.
func (in *input) buffered() []byte {
	if in.buf == nil {
		return in.held
	}
	return in.buf[in.r:in.w]
}

// consume removes n bytes from the unread input.
func (in *input) consume(n int) {
	if in.buf == nil {
		in.held = in.held[n:]
		return
	}
	in.r += n
}

// drop discards all unread input.
func (in *input) drop() {
	in.r, in.w, in.held = 0, 0, nil
	in.park()
}

// take makes sure that there is a buffer with room after the unread bytes.
func (in *input) take() {
	if in.buf == nil {
		in.buf = inputBuffers.Get().(*[inputSize]byte)
		in.r, in.w = 0, copy(in.buf[:], in.held)
		in.held = nil
	} else if in.w == inputSize {
		in.r, in.w = 0, copy(in.buf[:], in.buf[in.r:in.w])
	}
}

// free returns the part of the buffer for the next read.
func (in *input) free() []byte { return in.buf[in.w:min(in.w+in.room, inputSize)] }

// park gives the buffer back to the pool, and keeps a copy of the unread bytes.
func (in *input) park() {
	if in.buf == nil {
		return
	}
	if in.r < in.w {
		in.held = bytes.Clone(in.buf[in.r:in.w])
	}
	inputBuffers.Put(in.buf)
	in.buf = nil
}

// rest gives the buffer back to the pool if it is empty. The session calls it
// before it waits for something other than the client.
func (in *input) rest() {
	if in.r == in.w {
		in.park()
	}
}

var errInputFull = errors.New("smtpserver: the input buffer is full")

// fill waits for more input and adds up to most bytes of it to the unread
// input.
func (in *input) fill(most int) error {
	if len(in.buffered()) == inputSize {
		return errInputFull
	}
	in.room = most
	if in.raw != nil {
		err := in.raw.Read(in.try)
		if err == nil {
			err = in.err
		}
		if err != nil {
			in.park()
		}
		return err
	}
	in.park()
	if in.more {
		in.take()
		free := in.free()
		n, err := in.conn.Read(free)
		in.w += n
		in.count(n)
		in.more = n == len(free)
		return readError(n, err)
	}
	if in.wait == nil {
		in.wait = make([]byte, waitSize)
	}
	n, err := in.conn.Read(in.wait)
	if n > 0 {
		in.count(n)
		in.take()
		in.w += copy(in.buf[in.w:], in.wait[:n])
		in.more = n == waitSize
	}
	return readError(n, err)
}

// count counts n bytes that were read.
func (in *input) count(n int) {
	if in.n != nil {
		in.n.Add(int64(n))
	}
}

// readError ignores an error that came together with bytes; the next read
// returns it again.
func readError(n int, err error) error {
	switch {
	case n > 0:
		return nil
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}
