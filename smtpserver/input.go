package smtpserver

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// inputSize is the size of an input buffer: large enough that a big message
// costs few system calls. Only sessions that have unread input hold one.
const inputSize = 128 << 10

// commandInput is how much is read at once while commands are expected, so
// that a client that sends many and does not read the replies costs no more.
const commandInput = 16 << 10

var inputBuffers = sync.Pool{New: func() any { return new([inputSize]byte) }}

// waitSize is what a connection that cannot be waited for without a buffer
// (TLS) holds while it waits.
const waitSize = 256

// input reads from a connection. While it waits for the client it holds no
// buffer, only the bytes of an unfinished line: an idle connection costs no
// more than its goroutine and its Session. To that end it waits by
// syscall.RawConn, whose callback borrows a buffer for the read itself.
type input struct {
	conn net.Conn
	raw  syscall.RawConn // nil where conn has none, or is not a socket
	try  func(fd uintptr) bool
	room int   // how much a try may read
	err  error // of the last try

	buf  *[inputSize]byte // nil while nothing is buffered
	r, w int              // buf[r:w] is unread
	held []byte           // unread bytes while buf is nil
	wait []byte           // for conns without raw
	more bool             // the last read filled wait: there is more at once
}

func (in *input) reset(c net.Conn) {
	in.drop()
	in.conn, in.raw, in.wait, in.more = c, rawConn(c), nil, false
	if in.raw != nil && in.try == nil {
		in.try = in.tryRead
	}
}

// buffered is the unread input that is there without waiting.
func (in *input) buffered() []byte {
	if in.buf == nil {
		return in.held
	}
	return in.buf[in.r:in.w]
}

// consume takes n bytes off the buffered input.
func (in *input) consume(n int) {
	if in.buf == nil {
		in.held = in.held[n:]
		return
	}
	in.r += n
}

// drop forgets all buffered input.
func (in *input) drop() {
	in.r, in.w, in.held = 0, 0, nil
	in.park()
}

// take makes sure of a buffer with room after the unread bytes.
func (in *input) take() {
	if in.buf == nil {
		in.buf = inputBuffers.Get().(*[inputSize]byte)
		in.r, in.w = 0, copy(in.buf[:], in.held)
		in.held = nil
	} else if in.w == inputSize {
		in.r, in.w = 0, copy(in.buf[:], in.buf[in.r:in.w])
	}
}

// free is the part of the buffer that is to be read into.
func (in *input) free() []byte { return in.buf[in.w:min(in.w+in.room, inputSize)] }

// park gives the buffer back; a copy of what is unread stays.
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

// rest gives the buffer back when nothing is in it, before something else is
// waited for than the client.
func (in *input) rest() {
	if in.r == in.w {
		in.park()
	}
}

var errInputFull = errors.New("smtpserver: more unread input than fits the buffer")

// fill waits for more input and adds it, most bytes of it at most, to what is
// buffered.
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
		in.more = n == len(free)
		return readError(n, err)
	}
	if in.wait == nil {
		in.wait = make([]byte, waitSize)
	}
	n, err := in.conn.Read(in.wait)
	if n > 0 {
		in.take()
		in.w += copy(in.buf[in.w:], in.wait[:n])
		in.more = n == waitSize
	}
	return readError(n, err)
}

// readError lets the bytes count that came together with an error.
func readError(n int, err error) error {
	switch {
	case n > 0:
		return nil
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}
