package spf

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"parse":            func(s string) { parse("v=spf1 " + s) },
		"parse, mechanism": func(s string) { parse("v=spf1 include:" + s) },
		"parseMacro":       func(s string) { parseMacro(s, inExplanation) },
	}, append([]string{"a ", "+a ", "%{s}", "%{d1r}", "%%", "%_", "ip4:192.0.2.1 ", "exists:%{i}.x ", "x=y "}, doubling.Units...))
}
