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

// errProtocol is wrapped by the errors about a milter that does not keep to
// the protocol.
var errProtocol = errors.New("milter protocol error")

// A guard is between go-milter's session and the connection to the
// milter. It gathers what the session says until it waits for a reply. What
// the milter says it takes in one packet at a time, bounds it, and puts what
// the session would take for an error into words that it knows. Signs of
// progress end here: they move no deadline.
type guard struct {
	net.Conn
	r *bufio.Reader
	w *bufio.Writer

	budget  int64  // bytes that the milter may still send about the present event
	version uint32 // of the protocol, as the milter has it
	inBody  bool   // the question is about a piece of the body: SKIP may answer it
	skip    bool   // and did
	unread  []byte // what the session has not read yet of a packet

	ack func() // see quickAck; nil for none
}

func newGuard(c net.Conn) *guard {
	return &guard{Conn: c, r: bufio.NewReader(c), w: bufio.NewWriter(c), ack: quickAck(c)}
}

// Write implements net.Conn. A reply that came before its question would be
// taken for that to another one, so that is the end.
func (g *guard) Write(b []byte) (int, error) {
	if g.r.Buffered() > 0 {
		return 0, fmt.Errorf("%w: a reply to no question", errProtocol)
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

// receive reads the next packet that is no sign of progress: its code, and
// what belongs to that.
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
			return nil, fmt.Errorf("%w: more was sent than the message could need", errProtocol)
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

// translate puts a packet into the words of go-milter's client.
func (g *guard) translate(p []byte) ([]byte, error) {
	if isChange(p[0]) {
		g.budget -= changeCost
	}
	switch p[0] {
	case byte(gomilter.CodeOptNeg):
		// To the session all versions are the same, but it refuses an older
		// one because we offered what only newer ones have, whether or not the
		// milter took it.
		if len(p) < 5 {
			return nil, fmt.Errorf("%w: no version", errProtocol)
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
		p = append(first(p), " \x00"...) // the session wants a text, if only a blank
	case actAddRcptPar:
		p = first(p)
		p[0] = byte(gomilter.ActAddRcpt)
	case byte(gomilter.ActChangeFrom):
		p = first(p) // of one packet's NULs the session would make a million arguments
	}
	return p, nil
}

// first is a packet without what follows its first string.
func first(p []byte) []byte {
	if i := bytes.IndexByte(p, 0); i >= 0 {
		return p[:i:i]
	}
	return p
}
