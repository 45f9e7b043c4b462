package smtpclient

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// A commandError is a command that was not written, because a host could read
// it in another way than it was meant.
type commandError struct {
	verb string
	err  error
}

func (e *commandError) Error() string { return e.verb + " not written: " + e.err.Error() }
func (e *commandError) Unwrap() error { return e.err }

// checkCommand checks the exact bytes of a command, with its CRLF, before they
// are written: one line of UTF-8 without control characters. The error does not
// contain the line, which may be a secret.
func checkCommand(line []byte) error {
	text, ok := bytes.CutSuffix(line, crlf)
	verb, _, _ := bytes.Cut(text, []byte(" "))
	switch {
	case !ok:
		return &commandError{"command", errors.New("no CRLF at its end")}
	case !utf8.Valid(text):
		return &commandError{verbName(verb), errors.New("not UTF-8")}
	}
	for i, c := range text {
		if c < ' ' || c == 0x7f || c == 0xc2 && text[i+1] < 0xa0 { // C0, DEL, C1
			return &commandError{verbName(verb), fmt.Errorf("control character at octet %d", i)}
		}
	}
	return nil
}

// verbName is the verb for an error: nothing of a line of an AUTH exchange.
func verbName(verb []byte) string {
	for _, v := range [...]string{"EHLO", "HELO", "LHLO", "MAIL", "RCPT", "BDAT", "AUTH", "ETRN", "ATRN", "TURN", "VRFY", "EXPN"} {
		if bytes.EqualFold(verb, []byte(v)) {
			return v
		}
	}
	return "command"
}

// checkPath checks a whole MAIL or RCPT command. A host that reads it as our
// receive side does must find the address of the message, and in a session
// without SMTPUTF8 nothing but ASCII.
func checkPath(line []byte, address string, utf8 bool) error {
	if err := checkCommand(line); err != nil {
		return err
	}
	head, path, _ := strings.Cut(string(line), ":")
	verb, _, _ := strings.Cut(head, " ")
	read, rest, err := addr.WirePath(path)
	switch {
	case err != nil:
	case rest[0] != ' ' && rest[0] != '\r':
		err = errors.New("no space after the address")
	case !addr.Equal(read, address):
		err = errors.New("a host would read another address than that of the message")
	case !utf8 && !chars.ASCII(path):
		err = addr.ErrNonASCII
	}
	if err != nil {
		return &commandError{verb, err}
	}
	return nil
}
