package smtpclient

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"parseReplyLine": func(s string) { parseReplyLine([]byte("250-" + s)) },
	}, doubling.Units)
}
