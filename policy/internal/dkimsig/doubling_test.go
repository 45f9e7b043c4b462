package dkimsig

import (
	"bufio"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"ParseKey":      func(s string) { ParseKey(s) },
		"ParseKey, key": func(s string) { ParseKey("v=DKIM1; p=" + s) },
		"ParseCanon":    func(s string) { ParseCanon(s) },
		"DecodeQP":      func(s string) { DecodeQP(s) },
		"ReadFields":    func(s string) { ReadFields(bufio.NewReader(strings.NewReader(s))) },
	}, doubling.Units)
}
