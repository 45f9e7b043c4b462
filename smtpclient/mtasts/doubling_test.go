package mtasts

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"ParsePolicy":                    func(s string) { ParsePolicy(s) },
		"ParsePolicy, after the version": func(s string) { ParsePolicy("version: STSv1\nmode: enforce\nmax_age: 1\n" + s) },
		"parseEntry":                     func(s string) { parseEntry(s) },
		"parseRecord":                    func(s string) { parseRecord([]string{"v=STSv1; " + s}) },
	}, doubling.Units)
}
