package smtptest

import (
	"bufio"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"ReadReply": func(s string) { ReadReply(bufio.NewReader(strings.NewReader(s))) },
	}, append([]string{"250-a\r\n", "250-\n", "250-"}, doubling.Units...))
}
