package smtpclient

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-smtp"
)

// A Reply is a reply of a host.
type Reply struct {
	Code int
	// Lines are the lines of the text, without the code. Control characters
	// are replaced by question marks.
	Lines []string
}

// reply is a reply in the read buffer: the lines joined by LF. It is valid until
// the next reply is read.
type reply struct {
	code int
	text []byte
}

func (r reply) ok() bool        { return r.code/100 == 2 }
func (r reply) transient() bool { return r.code/100 == 4 }
func (r reply) permanent() bool { return r.code/100 == 5 }

// readReply reads one reply within d, of at most maxReplyLines lines and
// maxReplyBytes. phase is the name of the command, for errors.
func (w *wire) readReply(phase string, d time.Duration) (reply, error) {
	s := stageOf(phase)
	w.mon.await(s)
	r, err := w.scanReply(d)
	w.armed = false
	w.mon.replied(s, r, err)
	if p, ok := err.(*ProtocolError); ok {
		p.Phase = phase
	} else if err == errLongLine {
		err = &ProtocolError{Phase: phase, Problem: fmt.Sprintf("reply line longer than %d octets", maxReplyLine)}
	} else if err != nil {
		err = fmt.Errorf("reply to %s: %w", phase, err)
	}
	return r, err
}

// scanReply reads one reply. Its ProtocolErrors have no Phase.
func (w *wire) scanReply(d time.Duration) (reply, error) {
	w.text = w.text[:0]
	for n := 1; ; n++ {
		line, err := w.readLine(d)
		if err != nil {
			return reply{}, err
		}
		code, text, more, ok := parseReplyLine(line)
		if !ok && n == 1 {
			return reply{}, &ProtocolError{Problem: fmt.Sprintf("%.80q is not a reply", line)}
		}
		if !ok {
			// Some hosts write lines without a code in a reply. They are read
			// as text, as Postfix does.
			text, more = line, true
		}
		if !more && n == 1 {
			return reply{code, text}, nil // the common case, without a copy
		}
		if n > 1 {
			w.text = append(w.text, '\n')
		}
		w.text = append(w.text, text...)
		if !more {
			// RFC 5321, 4.2.1 forbids different codes in one reply. If they
			// differ, the last one counts.
			return reply{code, w.text}, nil
		}
		if n == maxReplyLines || len(w.text) > maxReplyBytes {
			return reply{}, &ProtocolError{Problem: fmt.Sprintf("reply of more than %d lines or %d octets", maxReplyLines, maxReplyBytes)}
		}
	}
}

// parseReplyLine reads "250-text", "250 text" or "250" (RFC 5321, 4.2).
func parseReplyLine(line []byte) (code int, text []byte, more, ok bool) {
	if len(line) < 3 {
		return 0, nil, false, false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, nil, false, false
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, nil, false, false
	}
	if len(line) == 3 {
		return code, nil, false, true
	}
	switch line[3] {
	case ' ', '-':
		return code, line[4:], line[3] == '-', true
	}
	return 0, nil, false, false
}

// smtpError returns the reply as a *smtp.SMTPError. It removes the enhanced code
// from the text of each line, and replaces control characters.
func (r reply) smtpError() *smtp.SMTPError {
	code, text, ok := enhancedCode(r.code, r.text)
	e := &smtp.SMTPError{Code: r.code, EnhancedCode: code}
	if ok && bytes.IndexByte(text, '\n') >= 0 {
		lines := bytes.Split(text, []byte("\n"))
		for i, l := range lines[1:] {
			if c, rest, ok := enhancedCode(r.code, l); ok && c == code {
				lines[i+1] = rest
			}
		}
		text = bytes.Join(lines, []byte("\n"))
	}
	e.Message = printable(text)
	return e
}

// enhancedCode reads an enhanced code (RFC 3463), "5.1.1 ", from the beginning
// of a reply's text, and returns the rest. The class must be that of the reply
// (RFC 2034, 4).
func enhancedCode(code int, text []byte) (e smtp.EnhancedCode, rest []byte, ok bool) {
	rest = text
	for i := range e {
		n, digits := 0, 0
		for digits < len(rest) && digits < 4 && rest[digits] >= '0' && rest[digits] <= '9' {
			n = n*10 + int(rest[digits]-'0')
			digits++
		}
		if digits == 0 || digits > 3 {
			return smtp.EnhancedCode{}, text, false
		}
		e[i], rest = n, rest[digits:]
		if i == 2 {
			break
		}
		if len(rest) == 0 || rest[0] != '.' {
			return smtp.EnhancedCode{}, text, false
		}
		rest = rest[1:]
	}
	if e[0] != code/100 || len(rest) > 0 && rest[0] != ' ' && rest[0] != '\n' {
		return smtp.EnhancedCode{}, text, false
	}
	return e, bytes.TrimPrefix(rest, []byte(" ")), true
}

// printable returns a host's text as a string for logs and reports. Control
// characters other than LF and TAB, and bytes that are not UTF-8, become
// question marks.
func printable(b []byte) string {
	clean := true
	for _, c := range b {
		if c < ' ' && c != '\n' || c >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return string(b)
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, string(b))
}

// public returns a copy of the reply for callers.
func (r reply) public() Reply {
	return Reply{Code: r.code, Lines: strings.Split(printable(r.text), "\n")}
}
