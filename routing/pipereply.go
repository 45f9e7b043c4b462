package routing

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/emersion/go-smtp"
)

func isBrokenPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed)
}

// firstLine returns the first line that is not blank. Control characters are
// replaced, so that the text cannot forge another line in a log or a report.
func firstLine(out string) string {
	for line := range strings.Lines(out) {
		line = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(line, "?"))
		if line = strings.TrimSpace(line); line != "" {
			return line[:min(len(line), 500)]
		}
	}
	return ""
}

// cutEnhancedCode cuts an enhanced code such as "4.2.2 " from the start of a
// text.
func cutEnhancedCode(text string) (code smtp.EnhancedCode, rest string, ok bool) {
	head, rest, _ := strings.Cut(text, " ")
	parts := strings.Split(head, ".")
	if len(parts) != 3 || parts[0] != "2" && parts[0] != "4" && parts[0] != "5" {
		return code, text, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 10)
		if err != nil || n > 999 {
			return smtp.EnhancedCode{}, text, false
		}
		code[i] = int(n)
	}
	return code, strings.TrimSpace(rest), true
}
