package smtpclient

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

// sendBDAT sends the content in chunks (RFC 3030, 2). It is only for content
// that DATA cannot carry: DATA needs no more round trips, and its 354 is the
// host's permission to send.
//
// A host that refuses BDAT may read the chunk as commands. Therefore the first
// chunk of a session contains no commands: it is the relay's own Received
// field. The rest follows after the host has accepted that chunk.
func (t *transaction) sendBDAT() error {
	c, m := t.c, t.d.m.Content
	if c.buffered() {
		return &ProtocolError{Phase: "BDAT", Problem: "unexpected reply before the content was sent"}
	}
	c.mon.content(t.accepted)
	size := m.Size()
	complete, err := endsInCRLF(m)
	if err != nil {
		return fmt.Errorf("%w: %w", errContent, err)
	}
	if !complete {
		size += int64(len(crlf))
	}
	first := 0
	if !c.chunks && size > int64(len(crlf)) {
		if first, err = t.firstChunk(); err != nil || !c.chunks {
			return err
		}
	}
	t.appendBDAT(size-int64(first), true)
	t.resetContent()
	c.content.emit(c.out)
	c.out = c.out[:0]
	if err := c.content.writeRaw(m, first, !complete); err != nil {
		return t.refusalBehind(err)
	}
	t.endSent()
	c.log.content(m.Size())
	return t.replies()
}

func (t *transaction) appendBDAT(size int64, last bool) {
	c := t.c
	c.out = append(c.out, "BDAT "...)
	c.out = strconv.AppendInt(c.out, size, 10)
	if last {
		c.out = append(c.out, " LAST"...)
	}
	c.out = append(c.out, crlf...)
	c.log.sent(c.out)
}

// firstChunk sends the first chunk, waits for its reply and returns its size.
// It sets c.chunks if the host has accepted the chunk. Otherwise it sets the
// results of the recipients.
func (t *transaction) firstChunk() (int, error) {
	c := t.c
	chunk, err := firstPart(t.d.m.Content)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errContent, err)
	}
	t.appendBDAT(int64(len(chunk)), false)
	c.out = append(c.out, chunk...)
	if err := c.flush(c.cfg.Timeouts.dataBlock()); err != nil {
		return 0, err
	}
	r, err := c.readReply("BDAT", c.cfg.Timeouts.dataInit())
	if err != nil {
		return 0, err
	}
	c.log.received(r)
	switch {
	case r.code == 421:
		return 0, &closingError{r.smtpError()}
	case r.code == 250 && c.buffered():
		return 0, &ProtocolError{Phase: "BDAT", Problem: "unexpected reply before the rest of the content was sent"}
	case r.code == 250:
		c.chunks = true
		return len(chunk), nil
	case !r.transient() && !r.permanent():
		return 0, unexpected("BDAT", r)
	}
	// The host may or may not have read the chunk. Nothing else may be sent on
	// this session.
	c.unusable = true
	if notImplemented(r) && content.IsText(t.d.m.Content) {
		t.d.noBDAT = true
		t.tryOnNewSession(r)
		return 0, nil
	}
	e := r.smtpError()
	for _, i := range t.d.todo {
		if f := t.d.states[i]; f == open || f == accepted {
			t.d.refuse(c, i, e)
		}
	}
	return 0, nil
}

// notImplemented reports whether the reply means that the host does not know
// the command (RFC 5321, 4.2.4). Some hosts announce CHUNKING but do not know
// BDAT.
func notImplemented(r reply) bool {
	switch r.code {
	case 500, 502, 503, 504:
		return true
	}
	return false
}

// maxTrace is the maximum number of octets of the Received field that is the
// first chunk.
const maxTrace = 2 << 10

// firstPart returns the first chunk: the Received field if the content begins
// with one as relays write it, otherwise one octet. Neither can be read as a
// command.
func firstPart(m Content) ([]byte, error) {
	b := make([]byte, min(m.Size(), maxTrace))
	if n, err := m.ReadAt(b, 0); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if n := receivedField(b); n > 0 {
		return b[:n], nil
	}
	return b[:1], nil
}

// receivedField returns the length of the Received field at the beginning of b,
// or 0 if there is none. Each line of the field must begin with a word of that
// field (RFC 5321, 4.4), so that it cannot be a command.
func receivedField(b []byte) int {
	n := 0
	for {
		i := bytes.Index(b[n:], crlf)
		if i < 0 || n+i+2 >= len(b) {
			return 0 // the end of the field is not in b
		}
		line := string(b[n : n+i])
		if strings.ContainsAny(line, "\r\n") {
			return 0 // a host may read a bare CR or LF as the end of a line
		}
		if n == 0 {
			if name, _, ok := strings.Cut(line, ":"); !ok || !strings.EqualFold(name, "Received") {
				return 0
			}
		} else if !traceLine(strings.TrimLeft(line, " \t")) {
			return 0
		}
		n += i + 2
		if b[n] != ' ' && b[n] != '\t' {
			return n
		}
	}
}

// traceLine reports whether a continuation line of a Received field begins with
// a clause of the field or with a comment.
func traceLine(line string) bool {
	word, _, _ := strings.Cut(line, " ")
	switch word {
	case "from", "by", "via", "with", "id", "for":
		return true
	}
	return strings.HasPrefix(line, "(")
}

// endsInCRLF reports whether the content ends with CRLF, as every message must
// (RFC 5321, 4.1.1.4).
func endsInCRLF(m Content) (bool, error) {
	if m.Size() < 2 {
		return false, nil
	}
	var b [2]byte
	if n, err := m.ReadAt(b[:], m.Size()-2); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return false, err
	}
	return string(b[:]) == "\r\n", nil
}
