package transaction

import (
	"io"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Hidden says whether a field for whose name is is true stands where others
// may still see header and we do not: after a line that is no field, where no
// blank line came yet.
func Hidden(m *smtpserver.Message, is func(name string) bool) bool {
	c := m.Content()
	at := m.Header.Size()
	var blank [2]byte
	if n, _ := c.ReadAt(blank[:], at); n < 2 || string(blank[:]) == "\r\n" {
		return false
	}
	const most = 64 << 10 // as far as others might look for it
	b := make([]byte, min(c.Size()-at, most))
	if _, err := c.ReadAt(b, at); err != nil && err != io.EOF {
		return true // it cannot be seen, so it is not trusted
	}
	for line := range strings.SplitSeq(string(b), "\r\n") {
		if line == "" {
			return false
		}
		name, _, ok := strings.Cut(line, ":")
		if ok && is(strings.Trim(name, " \t")) {
			return true
		}
	}
	return false
}
