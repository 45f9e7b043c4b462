package policy

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"ParseNetworks":  func(s string) { ParseNetworks(s) },
		"ReadNetworks":   func(s string) { ReadNetworks(strings.NewReader(s)) },
		"Load, greylist": func(s string) { new(Greylist).Load(strings.NewReader(s)) },
	}, append([]string{"192.0.2.1\n", "192.0.2.0/24,", "192.0.2.1-192.0.2.9 ", "::1\n", "{\"a\":1}\n", "[[", "{\"a\":"}, doubling.Units...))
}
