package authres

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"Parse":          func(s string) { Parse(s) },
		"Parse, results": func(s string) { Parse("x; " + s) },
		"Parse, reason":  func(s string) { Parse("x; spf=pass reason=" + s) },
		"ServerID":       func(s string) { ServerID(s) },
	}, doubling.Units)
}
