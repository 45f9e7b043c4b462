package dmarc

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"ParseRecord":       func(s string) { ParseRecord(s) },
		"ParseRecord, tags": func(s string) { ParseRecord("v=DMARC1; p=none; " + s) },
		"ParseRecord, rua":  func(s string) { ParseRecord("v=DMARC1; p=none; rua=" + s) },
	}, doubling.Units)
}
