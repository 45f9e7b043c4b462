package smtpserver

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// A Reply is the reply to one command: a code, an enhanced code (none if zero)
// and one or more lines of text.
type Reply struct {
	Code         int
	EnhancedCode smtp.EnhancedCode
	Lines        []string
	// Takeover, if not nil, gets the connection after the reply was sent. It is
	// for ATRN (RFC 2645), where client and server exchange their roles. The
	// session ends when Takeover returns. Takeover need not close conn.
	Takeover func(ctx context.Context, conn net.Conn)
}

// maxReplyText is the length of the longest text of a reply line. A line has at
// most 512 octets with code, enhanced code and CRLF (RFC 5321, 4.5.3.1.5).
const maxReplyText = 480

// noCode is the enhanced code of replies without one.
var noCode = smtp.EnhancedCode{}

// maxOutput is how many bytes of replies are collected before they are sent,
// even within a batch of commands. It limits the memory for a client that does
// not read its replies.
const maxOutput = 16 << 10

// outputSize is the initial size of the output buffer.
const outputSize = 2048

var outputBuffers = sync.Pool{New: func() any { return new([outputSize]byte) }}

// reply adds one reply to the output. It is sent before the session waits for
// the client, so that the replies to a pipelined batch go out in one write.
// Line breaks in text start new lines of the reply.
func (s *Session) reply(code int, ec smtp.EnhancedCode, text string) {
	s.srv.counters.reply(code)
	if isReplyLine(text) {
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

// isReplyLine reports whether text can be one line of a reply without changes.
func isReplyLine(text string) bool {
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

// replyLines splits the text of an agent or handler into lines. It replaces
// characters that could end the reply early, and splits lines that are too
// long.
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

// flush sends the collected replies.
func (s *Session) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	s.in.park() // the client may read slowly
	d := s.waitAtMost(s.lim.CommandTimeout)
	if s.tooSlow {
		d = min(d, overloadPause)
	}
	if s.ending.Load() {
		d = min(d, endGrace)
	}
	now := time.Now()
	err := s.setWriteDeadline(now, d)
	if err == nil {
		s.beginWait(waitReadReplies, now)
		if s.givenUp() && d > overloadPause { // the session must not keep the content for longer
			s.setWriteDeadline(now, overloadPause)
		}
		_, err = s.conn.Write(s.out)
		s.endWait()
		s.entry.Out.Add(int64(len(s.out)))
	}
	outputBuffers.Put(s.outBuf)
	s.out, s.outBuf = nil, nil
	return err
}

// wellFormed returns the error of an agent or handler as a valid refusal: the
// code is 4xx or 5xx, and the enhanced code agrees with it.
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
