package simulation

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes can be on their way in one direction.
const window = 64 << 10

// A pair is a connection: both of its ends.
type pair struct {
	mu      sync.Mutex // guards both ends
	latency time.Duration
	rnd     *rand.Rand
}

// A conn is one end of a connection. It behaves as a TCP socket: data arrives after a
// delay, a writer waits while the window is full, and a socket that is closed with
// unread data resets the connection.
type conn struct {
	*pair
	peer          *conn
	machine       *machine
	local, remote net.Addr
	number        int // of the connections to this listener

	arriving []packet // in the order of their time
	size     int      // of all in arriving
	end      error    // after the packets: io.EOF or a reset, at the time ends
	ends     time.Time
	last     time.Time // when the last packet arrives
	closed   bool
	deaf     bool // what arrives is lost
	changed  chan struct{}

	readDeadline, writeDeadline time.Time
}

// A packet is data that arrives at a time. read, if not nil, is called when the program
// has read all of it.
type packet struct {
	at   time.Time
	b    []byte
	read func()
}

// notify wakes what waits for a change of this end. The caller has locked the pair.
func (c *conn) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// arrival returns when something that is sent to this end now arrives. It is after
// everything else that was sent to it, and at a time of its own.
func (c *conn) arrival() time.Time {
	at := time.Now().Add(c.latency + time.Duration(c.rnd.Int64N(int64(time.Millisecond))))
	if !at.After(c.last) {
		at = c.last.Add(1 + time.Duration(c.rnd.Int64N(int64(time.Microsecond))))
	}
	c.last = at
	return at
}

func (c *conn) Read(b []byte) (int, error) {
	c.count()
	for {
		n, read, changed, until, err := c.take(b)
		if read != nil {
			read()
		}
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		pause(changed, until)
	}
}

// take reads what has arrived. If nothing has, it returns what to wait for.
func (c *conn) take(b []byte) (n int, read func(), changed chan struct{}, until time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	ended := c.end != nil && !now.Before(c.ends)
	switch {
	case c.closed:
		return 0, nil, nil, now, net.ErrClosed
	case passed(c.readDeadline, now):
		return 0, nil, nil, now, timeoutError
	case ended && c.end != io.EOF:
		return 0, nil, nil, now, c.end
	case len(c.arriving) > 0 && !now.Before(c.arriving[0].at):
		p := &c.arriving[0]
		n = copy(b, p.b)
		p.b = p.b[n:]
		c.size -= n
		if len(p.b) == 0 {
			read = p.read
			c.arriving = c.arriving[1:]
		}
		c.peer.notify()
		return n, read, nil, now, nil
	case ended && len(c.arriving) == 0:
		return 0, nil, nil, now, c.end
	}
	until = c.readDeadline
	if len(c.arriving) > 0 {
		until = sooner(until, c.arriving[0].at)
	}
	if c.end != nil {
		until = sooner(until, c.ends)
	}
	return 0, nil, c.changed, until, nil
}

func (c *conn) Write(b []byte) (int, error) { return c.write(b, nil) }

// write sends b. It calls read when the peer has read all of it.
func (c *conn) write(b []byte, read func()) (n int, err error) {
	c.count()
	for len(b) > 0 {
		k, changed, err := c.put(b, read)
		n, b = n+k, b[k:]
		if err != nil {
			return n, err
		}
		if k == 0 {
			pause(changed, c.deadline())
		}
	}
	return n, nil
}

func (c *conn) deadline() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writeDeadline
}

// put sends as much as the window allows.
func (c *conn) put(b []byte, read func()) (n int, changed chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, peer := time.Now(), c.peer
	switch {
	case c.closed:
		return 0, nil, net.ErrClosed
	case passed(c.writeDeadline, now):
		return 0, nil, timeoutError
	case c.end != nil && c.end != io.EOF && !now.Before(c.ends):
		return 0, nil, os.NewSyscallError("write", syscall.EPIPE)
	}
	if n = min(len(b), window-peer.size); n <= 0 {
		return 0, c.changed, nil
	}
	switch {
	case peer.deaf: // it stays in the window
		peer.size += n
	case peer.closed: // the peer's system answers with a reset
		c.fail(c.arrival().Add(c.latency))
	default:
		p := packet{at: peer.arrival(), b: append([]byte(nil), b[:n]...)}
		if n == len(b) {
			p.read = read
		}
		peer.arriving = append(peer.arriving, p)
		peer.size += n
		peer.notify()
	}
	return n, nil, nil
}

// fail makes this end fail with a reset at a time. The caller has locked the pair.
func (c *conn) fail(at time.Time) {
	if c.end == nil || c.end == io.EOF || at.Before(c.ends) {
		c.end, c.ends = os.NewSyscallError("read", syscall.ECONNRESET), at
	}
	c.notify()
}

// Close ends the connection. If data has arrived that was not read, it is a reset.
func (c *conn) Close() error { return c.close(false) }

// reset ends the connection at once.
func (c *conn) reset() { c.close(true) }

func (c *conn) close(reset bool) error {
	c.machine.remove(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	unread := len(c.arriving) > 0 && !time.Now().Before(c.arriving[0].at)
	c.arriving, c.size = nil, 0
	switch p := c.peer; {
	case p.deaf || p.closed || p.end != nil:
	case reset || unread:
		p.fail(p.arrival())
	default:
		p.end, p.ends = io.EOF, p.arrival()
	}
	c.notify()
	c.peer.notify()
	return nil
}

// die ends this end as the death of its machine does.
func (c *conn) die(silently bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	now := time.Now()
	if silently {
		c.peer.deaf, c.deaf = true, true
	} else if !c.peer.closed {
		c.peer.fail(c.peer.arrival())
	}
	c.arriving, c.end = nil, nil
	c.fail(now)
}

// count reports a call to the machine, which may die at it.
func (c *conn) count() {
	if m := c.machine; m.calls.Add(-1) == 0 && m.atCall != nil {
		m.atCall()
	}
}

func (c *conn) name() string { return c.local.String() + " " + c.remote.String() }

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDeadline = t
	c.notify()
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeDeadline = t
	c.notify()
	return nil
}

func passed(deadline, now time.Time) bool { return !deadline.IsZero() && !now.Before(deadline) }

// sooner returns the earlier of two times. Zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// pause waits for a change or a time. Zero means never.
func pause(changed chan struct{}, until time.Time) {
	if until.IsZero() {
		<-changed
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	}
}
