package scan

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"parseVerdict": func(s string) { parseVerdict([]byte(s)) },
		"parseSpam":    func(s string) { parseSpam(s) },
	}, doubling.Units)
}
