package xtext

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"Decode":                  func(s string) { Decode(s) },
		"DecodeUTF8Addr":          func(s string) { DecodeUTF8Addr(s) },
		"DecodeUTF8Addr, escaped": func(s string) { DecodeUTF8Addr(`\x{` + s) },
		"Encode":                  func(s string) { Encode(s) },
	}, doubling.Units)
}
