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

// A commandError means that a command was not sent, because the host could
// read it differently from what is meant.
type commandError struct {
	verb string
	err  error
}

func (e *commandError) Error() string { return e.verb + " not sent: " + e.err.Error() }
func (e *commandError) Unwrap() error { return e.err }

// checkCommand checks the bytes of a command, with its CRLF, before they are
// sent: they must be one line of UTF-8 without control characters. The error
// does not contain the line, because the line may contain a password.
func checkCommand(line []byte) error {
	text, ok := bytes.CutSuffix(line, crlf)
	verb, _, _ := bytes.Cut(text, []byte(" "))
	switch {
	case !ok:
		return &commandError{"command", errors.New("the command does not end with CRLF")}
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

// verbName returns the verb for an error. It returns "command" for a verb that
// it does not know, because that may be a line of an AUTH exchange.
func verbName(verb []byte) string {
	for _, v := range [...]string{"EHLO", "HELO", "LHLO", "MAIL", "RCPT", "BDAT", "AUTH", "ETRN", "ATRN", "TURN", "VRFY", "EXPN"} {
		if bytes.EqualFold(verb, []byte(v)) {
			return v
		}
	}
	return "command"
}

// checkPath checks a whole MAIL or RCPT command. Parsed as package smtpserver
// parses it, the command must contain the address of the message. Without
// SMTPUTF8 it must be ASCII.
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
		err = errors.New("the host would read an address that differs from the address of the message")
	case !utf8 && !chars.ASCII(path):
		err = addr.ErrNonASCII
	}
	if err != nil {
		return &commandError{verb, err}
	}
	return nil
}
