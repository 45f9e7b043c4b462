package addr

import (
	"strings"
	"testing"
	"time"
)

// 16 times the input takes about 16 times as long, for each function and each
// repeated text. The limit is eight times that. A quadratic function takes 16 times
// that.
func TestDoubling(t *testing.T) {
	functions := map[string]func(string){
		"Domain":          func(s string) { Domain(s) },
		"FoldDomain":      func(s string) { FoldDomain(s) },
		"FoldLocal":       func(s string) { FoldLocal(s) },
		"ToASCII":         func(s string) { ToASCII("a@" + s) },
		"ToUnicode":       func(s string) { ToUnicode("a@" + s) },
		"Equal":           func(s string) { Equal("a@"+s, "a@"+s+"x") },
		"ParseLiteral":    func(s string) { ParseLiteral("[" + s + "]") },
		"Mailbox":         func(s string) { Mailbox(s+"@example.org", true) },
		"Mailbox, quoted": func(s string) { Mailbox(`"`+s+`"@example.org`, true) },
		"ForwardPath":     func(s string) { ForwardPath("<"+s+">", true) },
		"source route":    func(s string) { ForwardPath("<@a,"+s, true) },
		"domain":          func(s string) { ForwardPath("<a@"+s+">", true) },
		"NotOnWire":       func(s string) { NotOnWire(s) },
		"WirePath":        func(s string) { WirePath("<" + s) },
		"WirePath domain": func(s string) { WirePath("<a@" + s) },
		"SafeHelo":        func(s string) { SafeHelo(s) },
	}
	for _, unit := range []string{
		"a", "a.", ".", "A", "ü", "ü.", "\u00ad", "。", "[", "]", "\uff1e", "xn--a.", "@", "@a,", "@a:", "a@", "\"", "\\", `\"`, " ", "<", ">", ",", "\xff", "\x00", "K",
	} {
		for name, f := range functions {
			took := func(n int) time.Duration {
				s := strings.Repeat(unit, n)
				best := time.Hour
				for range 7 {
					start := time.Now()
					f(s)
					best = min(best, time.Since(start))
				}
				return best
			}
			var small, large time.Duration
			linear := false
			for range 3 { // the machine may be busy
				small, large = took(1_000), took(16_000)
				linear = linear || large <= 16*8*small+5*time.Millisecond
			}
			if !linear {
				t.Errorf("%s, %q: %v for 1,000, %v for 16,000", name, unit, small, large)
			}
		}
	}
}
