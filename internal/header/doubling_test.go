package header_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// 16 times the input takes about 16 times as long, for each function and each
// repeated text. The limit is ten times that, and at least 100 ms, because the
// machine may be busy. A quadratic function takes 16 times that, which is seconds.
func TestDoubling(t *testing.T) {
	functions := map[string]func(string){
		"Scanner": func(s string) { new(header.Scanner).Scan([]byte(s), true) },
		"Scanner in pieces": func(s string) {
			var sc header.Scanner
			for n := 1; n <= len(s) && !sc.Scan([]byte(s[sc.End:n]), false); n += 512 {
			}
		},
		"Repairs":            func(s string) { header.Repairs(strings.NewReader(s), int64(len(s))) },
		"TraceHops":          func(s string) { header.TraceHops([]byte(s)) },
		"TraceHops, one":     func(s string) { header.TraceHops([]byte("Received: " + s)) },
		"TraceHops, many":    func(s string) { header.TraceHops([]byte(strings.Repeat("Received: a b\r\n", len(s)/16))) },
		"Hops":               func(s string) { header.Hops(strings.NewReader(s), int64(len(s)), "a") },
		"By":                 func(s string) { header.By(s) },
		"All":                func(s string) { header.Get([]byte(s), "X") },
		"Value":              func(s string) { header.Field("X: " + s).Value() },
		"Check":              func(s string) { header.Check("X: " + s) },
		"Comment":            func(s string) { _ = header.Comment("(" + s) },
		"Unquote":            func(s string) { header.Unquote(s[:max(0, header.Quoted(`"`+s))]) },
		"Addresses":          func(s string) { header.Addresses(s) },
		"Addresses <":        func(s string) { header.Addresses("<" + s) },
		"Addresses @":        func(s string) { header.Addresses("a@" + s) },
		"Addresses <@":       func(s string) { header.Addresses("<@" + s + ":a@b>") },
		"Authors":            func(s string) { header.Authors(strings.Split(s, "\n")) },
		"ParseParams":        func(s string) { p := header.ParseParams("a/b; " + s); p.Extended("n") },
		"ParseParams quoted": func(s string) { p := header.ParseParams(`a/b; n*0="` + s); p.Extended("n") },
	}
	units := []string{
		"a", "a ", " ", "\r\n ", "\r\n", "a\r\n", "A: b\r\n", "A:\n\t", ":", "\n", "From a\r\n", "\r", "\x00", "\xff", "ü",
		"\"", "\\\"", "\"a\" ", "\\", "(", ")", "()", "(a) ", "(\\", "<", ">", "<a@b>", "<a@b>,", "a@b,", "a@b ", "a.", ".", ",", ";", "a:;", "@", "a@", "@a:",
		"[", "@[", "@[\\", "a@[1]", "[\\", "=?", "=?a@b?= ", "a=b;", "=", "a=\"b\"", "n*0=a;", "n*1*=%41;", "n*", "%", "%4", "(a)=(b;",
	}
	for name, f := range functions {
		for _, u := range units {
			small, large := strings.Repeat(u, 8<<10/len(u)), strings.Repeat(u, 128<<10/len(u))
			linear := func() bool {
				took := fastest(f, large)
				return took < 100*time.Millisecond || took < 16*10*fastest(f, small)
			}
			ok := linear()
			for try := 0; try < 3 && !ok; try++ { // the machine may be busy
				ok = linear()
			}
			if !ok {
				t.Fatalf("%s of %q repeated: %v for 8 KiB, %v for 128 KiB", name, u, fastest(f, small), fastest(f, large))
			}
		}
	}
}

func fastest(f func(string), s string) time.Duration {
	best := time.Hour
	for range 2 {
		start := time.Now()
		f(s)
		best = min(best, time.Since(start))
	}
	return best
}
