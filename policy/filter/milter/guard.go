package milter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	gomilter "github.com/emersion/go-milter"
)

// Replies that go-milter's client does not know: SMFIR_* of libmilter's
// mfdef.h.
const (
	actProgress   = 'p'
	actAddRcptPar = '2'
	actShutdown   = '4'
	actConnFail   = 'f'
)

const (
	lowestVersion  = 2
	highestVersion = 6
	maxPacket      = 1 << 20 // MILTER_MDS_1M, and go-milter's own limit
	// changeCost is counted for a change in addition to its bytes: go-milter
	// makes a ModifyAction of it.
	changeCost = 256
)

// Errors about a milter that violates the protocol wrap errProtocol.
var errProtocol = errors.New("milter protocol error")

// A guard is between go-milter's session and the connection to the milter. It
// buffers what the session writes until the session waits for a reply. It reads
// one packet of the milter at a time, limits the packets, and translates replies
// that the session would treat as errors. It drops progress packets, so they do
// not extend a deadline.
type guard struct {
	net.Conn
	r *bufio.Reader
	w *bufio.Writer

	budget  int64  // bytes that the milter may still send about the current event
	version uint32 // protocol version of the milter
	inBody  bool   // the current event is a body chunk, to which SKIP is a valid reply
	skip    bool   // the milter has replied SKIP
	unread  []byte // what the session has not read yet of a packet

	ack func() // see quickAck; nil for none
}

func newGuard(c net.Conn) *guard {
	return &guard{Conn: c, r: bufio.NewReader(c), w: bufio.NewWriter(c), ack: quickAck(c)}
}

// Write implements net.Conn. It fails if the milter has sent the milter sent a
// reply although no event was sent, because the reply would be taken as the
// reply to this event.
func (g *guard) Write(b []byte) (int, error) {
	if g.r.Buffered() > 0 {
		return 0, fmt.Errorf("%w: the milter sent a reply although no event was sent", errProtocol)
	}
	return g.w.Write(b)
}

// Read implements net.Conn.
func (g *guard) Read(b []byte) (int, error) {
	if len(g.unread) == 0 {
		p, err := g.receive()
		if err != nil {
			return 0, err
		}
		g.unread = append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...)
	}
	n := copy(b, g.unread)
	g.unread = g.unread[n:]
	return n, nil
}

// Close implements net.Conn.
func (g *guard) Close() error { return errors.Join(g.w.Flush(), g.Conn.Close()) }

// receive returns the next packet that is not a progress packet: its code and its
// data.
func (g *guard) receive() ([]byte, error) {
	if err := g.w.Flush(); err != nil {
		return nil, err
	}
	for {
		head, err := g.r.Peek(4)
		if err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint32(head)
		if n == 0 || n > maxPacket {
			return nil, fmt.Errorf("%w: a packet of %d bytes", errProtocol, n)
		}
		if g.budget -= 4 + int64(n); g.budget < 0 {
			return nil, fmt.Errorf("%w: the milter sent more than the limit for this event", errProtocol)
		}
		p := make([]byte, 4+n)
		if _, err := io.ReadFull(g.r, p); err != nil {
			return nil, err
		}
		if g.ack != nil && (p[4] == actProgress || isChange(p[4])) && g.r.Buffered() == 0 {
			g.ack() // more follows
		}
		if p[4] != actProgress {
			return g.translate(p[4:])
		}
	}
}

// translate converts a packet to one that go-milter's client understands.
func (g *guard) translate(p []byte) ([]byte, error) {
	if isChange(p[0]) {
		g.budget -= changeCost
	}
	switch p[0] {
	case byte(gomilter.CodeOptNeg):
		// The session treats all versions the same, but it refuses an older
		// one if we offered options of newer versions, even if the milter did
		// not select them.
		if len(p) < 5 {
			return nil, fmt.Errorf("%w: the negotiation has no version", errProtocol)
		}
		g.version = binary.BigEndian.Uint32(p[1:])
		if g.version < lowestVersion || g.version > highestVersion {
			return nil, fmt.Errorf("%w: version %d", errProtocol, g.version)
		}
		binary.BigEndian.PutUint32(p[1:], highestVersion)
	case byte(gomilter.ActSkip):
		if g.inBody {
			g.skip = true
			p = []byte{byte(gomilter.ActContinue)}
		}
	case actConnFail:
		p = []byte{byte(gomilter.ActTempFail)}
	case actShutdown:
		p = []byte(string(gomilter.ActReplyCode) + "421 4.7.0 Closing the connection\x00")
	case byte(gomilter.ActReplyCode):
		p = append(first(p), " \x00"...) // the session requires a text
	case actAddRcptPar:
		p = first(p)
		p[0] = byte(gomilter.ActAddRcpt)
	case byte(gomilter.ActChangeFrom):
		p = first(p) // the session would make an argument of each NUL, up to a million
	}
	return p, nil
}

// first returns a packet up to the end of its first string.
func first(p []byte) []byte {
	if i := bytes.IndexByte(p, 0); i >= 0 {
		return p[:i:i]
	}
	return p
}
