package smtpserver

import (
	"bytes"
	"strings"
)

// This file parses command lines. RFC 5321, 4.1.1 requires one space between the
// parts of a command. Some clients send several spaces or tabs, so any number of
// them is a separator.

const blanks = " \t"

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// splitCommand splits a line, without its CRLF, into verb and argument, and
// converts the verb to upper case in place. ok is false if the line contains
// control characters.
func splitCommand(line []byte) (verb []byte, arg string, ok bool) {
	line = bytes.TrimRight(line, blanks)
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, "", false
		}
	}
	end := len(line)
	for i, c := range line {
		if isBlank(c) {
			end = i
			break
		}
		if 'a' <= c && c <= 'z' {
			line[i] = c - 'a' + 'A'
		}
	}
	return line[:end], string(bytes.TrimLeft(line[end:], blanks)), true
}

// nextWord splits off the first word of an argument.
func nextWord(arg string) (word, rest string) {
	if i := strings.IndexAny(arg, blanks); i >= 0 {
		return arg[:i], strings.TrimLeft(arg[i:], blanks)
	}
	return arg, ""
}

// cutWord removes a word with its colon from the start of arg, ignoring case.
// It also removes blanks after the colon: RFC 5321, 3.3 forbids them, but users
// and devices send them.
func cutWord(arg, word string) (string, bool) {
	if len(arg) < len(word) || !strings.EqualFold(arg[:len(word)], word) {
		return "", false
	}
	return strings.TrimLeft(arg[len(word):], blanks), true
}

// isAuth reports whether a line is an AUTH command.
func isAuth(line []byte) bool {
	return len(line) > 4 && isBlank(line[4]) && bytes.EqualFold(line[:4], []byte("AUTH"))
}
