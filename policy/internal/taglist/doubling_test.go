package taglist

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"Parse":        func(s string) { Parse(s) },
		"Parse, value": func(s string) { Parse("v=1; h=" + s) },
		"ParseRecord":  func(s string) { ParseRecord("v=DKIM1; " + s) },
		"Split":        func(s string) { Split(s, ":") },
	}, doubling.Units)
}
