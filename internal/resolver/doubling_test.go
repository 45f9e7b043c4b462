package resolver

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"reverseAddr":      func(s string) { reverseAddr(s) },
		"reverseAddr, IP4": func(s string) { reverseAddr(s + reverse4) },
		"reverseAddr, IP6": func(s string) { reverseAddr(s + reverse6) },
	}, append([]string{"1.", "f.", "0"}, doubling.Units...))
}
