package milter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Commands to a milter: SMFIC_* of libmilter's mfdef.h.
const (
	cmdOptNeg  = 'O'
	cmdMacro   = 'D'
	cmdConnect = 'C'
	cmdHelo    = 'H'
	cmdMail    = 'M'
	cmdRcpt    = 'R'
	cmdData    = 'T'
	cmdHeader  = 'L'
	cmdEOH     = 'N'
	cmdBody    = 'B'
	cmdEOM     = 'E'
	cmdAbort   = 'A'
	cmdQuit    = 'Q'
)

// Its replies: SMFIR_*.
const (
	actAddRcpt     = '+'
	actAddRcptPar  = '2'
	actDelRcpt     = '-'
	actShutdown    = '4'
	actAccept      = 'a'
	actReplBody    = 'b'
	actContinue    = 'c'
	actDiscard     = 'd'
	actChangeFrom  = 'e'
	actConnFail    = 'f'
	actAddHeader   = 'h'
	actInsHeader   = 'i'
	actChgHeader   = 'm'
	actProgress    = 'p'
	actQuarantine  = 'q'
	actReject      = 'r'
	actSkip        = 's'
	actTempFail    = 't'
	actReplyCode   = 'y'
	maxChunk       = 65535     // of the body in one packet: MILTER_CHUNK_SIZE
	maxPacket      = 1<<20 + 1 // that is read: MILTER_MDS_1M and the command
	protocolV6     = 6
	lowestProtocol = 2
)

// errProtocol is wrapped by the errors about a milter that does not speak the
// protocol.
var errProtocol = errors.New("milter protocol error")

// writePacket puts a packet into the buffer: length, command, data.
func writePacket(w *bufio.Writer, cmd byte, data ...[]byte) error {
	n := 1
	for _, d := range data {
		n += len(d)
	}
	var head [5]byte
	binary.BigEndian.PutUint32(head[:], uint32(n))
	head[4] = cmd
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	for _, d := range data {
		if _, err := w.Write(d); err != nil {
			return err
		}
	}
	return nil
}

// readPacket reads one packet, of up to maxPacket bytes.
func readPacket(r *bufio.Reader) (cmd byte, data []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxPacket {
		return 0, nil, fmt.Errorf("%w: a packet of %d bytes", errProtocol, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, err
	}
	return b[0], b[1:], nil
}

// cstrings writes strings each with its NUL. A NUL within one would end it
// early, so it is left out.
func cstrings(ss ...string) []byte {
	var b []byte
	for _, s := range ss {
		b = append(b, strings.ReplaceAll(s, "\x00", "")...)
		b = append(b, 0)
	}
	return b
}

// readStrings reads strings that end with NUL each; the last one may do
// without.
func readStrings(b []byte) []string {
	s := strings.TrimSuffix(string(b), "\x00")
	return strings.Split(s, "\x00")
}
