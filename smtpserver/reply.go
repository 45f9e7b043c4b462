package smtpserver

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"
)

// A Reply is what the server says to one command: a code, an enhanced code
// (the zero value has none) and one line of text or several.
type Reply struct {
	Code         int
	EnhancedCode smtp.EnhancedCode
	Lines        []string
	// Takeover, where set, is given the connection once the reply is sent:
	// for ATRN (RFC 2645), by which client and server change places. The
	// session ends when it returns; it need not close conn.
	Takeover func(ctx context.Context, conn net.Conn)
}

// maxReplyText is the longest text of a reply line: 512 octets with code,
// enhanced code and CRLF (RFC 5321, 4.5.3.1.5).
const maxReplyText = 480

// noCode is the enhanced code of replies that carry none.
var noCode = smtp.EnhancedCode{}

// maxOutput is how much is replied before it is sent, even in the middle of a
// batch: a client that does not read gets no more of our memory.
const maxOutput = 16 << 10

// outputSize is the room that output has without growing.
const outputSize = 2048

var outputBuffers = sync.Pool{New: func() any { return new([outputSize]byte) }}

// reply adds one reply to the output. It leaves when the session is about to
// wait for the client, so that the replies to a pipelined batch go in one
// write. Line breaks in text make lines of the reply.
func (s *Session) reply(code int, ec smtp.EnhancedCode, text string) {
	s.srv.counters.reply(code)
	if clean(text) {
		s.replyLine(code, ec, text, true)
		return
	}
	lines := replyLines(text)
	for i, l := range lines {
		s.replyLine(code, ec, l, i == len(lines)-1)
	}
}

func (s *Session) replyLine(code int, ec smtp.EnhancedCode, text string, last bool) {
	if s.out == nil {
		s.outBuf = outputBuffers.Get().(*[outputSize]byte)
		s.out = s.outBuf[:0]
	}
	start := len(s.out)
	s.out = strconv.AppendInt(s.out, int64(code), 10)
	if last {
		s.out = append(s.out, ' ')
	} else {
		s.out = append(s.out, '-')
	}
	if ec[0] > 0 && s.srv.enhanced {
		s.out = strconv.AppendInt(s.out, int64(ec[0]), 10)
		s.out = append(s.out, '.')
		s.out = strconv.AppendInt(s.out, int64(ec[1]), 10)
		s.out = append(s.out, '.')
		s.out = strconv.AppendInt(s.out, int64(ec[2]), 10)
		s.out = append(s.out, ' ')
	}
	s.out = append(s.out, text...)
	if code == 334 {
		s.trace('>', []byte("334 <challenge>"))
	} else {
		s.trace('>', s.out[start:])
	}
	s.out = append(s.out, '\r', '\n')
}

// clean says whether text can stand in a reply as it is, in one line.
func clean(text string) bool {
	if len(text) > maxReplyText {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// replyLines makes lines of what an agent or handler wants to say: nothing in
// it can end the reply early, and no line is too long.
func replyLines(text string) []string {
	var lines []string
	for _, l := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		l = strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '?'
			}
			return r
		}, l)
		for len(l) > maxReplyText {
			lines = append(lines, l[:maxReplyText])
			l = l[maxReplyText:]
		}
		lines = append(lines, l)
	}
	const most = 100
	return lines[:min(len(lines), most)]
}

// flush sends what was replied.
func (s *Session) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	s.in.park() // the client may take its time
	d := s.lim.Command
	if s.srv.overloaded() {
		d = min(d, overloadWait)
	}
	err := s.setWriteDeadline(d)
	if err == nil {
		_, err = s.conn.Write(s.out)
	}
	outputBuffers.Put(s.outBuf)
	s.out, s.outBuf = nil, nil
	return err
}

// wellFormed makes a refusal of what an agent or handler returned: code and
// enhanced code that agree, and are those of a refusal.
func wellFormed(e *smtp.SMTPError) *smtp.SMTPError {
	code, ec := e.Code, e.EnhancedCode
	if code < 400 || code > 599 {
		code, ec = 451, smtp.EnhancedCode{4, 3, 0}
	}
	switch {
	case ec[0] < 0: // smtp.NoEnhancedCode
		ec = noCode
	case ec[0] != code/100:
		ec[0] = code / 100
	}
	if code == e.Code && ec == e.EnhancedCode {
		return e
	}
	return &smtp.SMTPError{Code: code, EnhancedCode: ec, Message: e.Message}
}

func refusal(code int, a, b, c int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{a, b, c}, Message: text}
}
