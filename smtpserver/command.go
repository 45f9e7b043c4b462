package smtpserver

import (
	"bytes"
	"strings"
)

// How a command line is read. RFC 5321, 4.1.1 has one space between its parts.
// Clients are known to send several, and tabs; all of them separate.

const blanks = " \t"

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// splitCommand cuts a line, without its CRLF, into verb and argument and raises
// the verb to upper case in place. A line with control characters is no
// command.
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

// nextWord cuts off the first word of an argument.
func nextWord(arg string) (word, rest string) {
	if i := strings.IndexAny(arg, blanks); i >= 0 {
		return arg[:i], strings.TrimLeft(arg[i:], blanks)
	}
	return arg, ""
}

// cutWord takes a word and its colon off the front, in any case of letters.
// RFC 5321, 3.3 allows no space after the colon, but people and devices put
// one there.
func cutWord(arg, word string) (string, bool) {
	if len(arg) < len(word) || !strings.EqualFold(arg[:len(word)], word) {
		return "", false
	}
	return strings.TrimLeft(arg[len(word):], blanks), true
}

// isAuth says whether a line is an AUTH command.
func isAuth(line []byte) bool {
	return len(line) > 4 && isBlank(line[4]) && bytes.EqualFold(line[:4], []byte("AUTH"))
}
