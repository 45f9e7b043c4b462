package wildcard

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"Match":            func(s string) { Match("*a*b*c*d*", s) },
		"Match at the end": func(s string) { Match("*a*a*a*z", s) },
	}, doubling.Units)
}
