// Package doubling tests that the cost of a function grows with its input, and not
// with its square: twice the input takes about twice the work. It is for tests only.
package doubling

import (
	"strings"
	"testing"
	"time"
)

// Units are texts that begin, end or separate something in the formats of mail. A
// quadratic parser usually takes long for one of them repeated.
var Units = []string{
	"a", "a ", " ", "\t", "\r\n ", "\r\n", "a\r\n", "\n", "\n\n", "\x00", "\xff", "ü", "ü.", "a.", ".", "*", "%", "+", "-",
	"\"", "\\\"", "\"a\" ", "\"a\"", "\\", "'", "(", ")", "()", "(a) ", "(\\", "<", ">", "<a@b>", "<a@b>,", "a@b,", "a@b ", "a,", ",",
	";", ";;", "a;", "a=b;", "a=b; ", "a=", "=", "a:", ":", "::", ":;", "a:;", "@", "a@", "@a:", "@a,", "[", "]", "[a]", "a@[1]", "{", "}",
	"=?", "?=", "?", "=?a?q?b?=", "=?a?q?b?= ", "=?a?b?", "=?u?q?", "=\r\n", "=41", "&", "&a;", "<a>", "<!--",
	"--b\r\n", "--b\r\n\r\n", "--b", "\r\n--", "\r\n--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", "\r\n--b--\r\n",
	"name*0=a;", "name*1*=%41;", "name*=a;", "a=b (c); ", "a=\"b;", "a='b' ",
	"A: b\r\n", "A:\r\n", "A:\r\n ", "Content-Type: a/b\r\n", "Content-Type: message/rfc822\r\n\r\n", "Subject: x\r\n ", "Received: x\r\n",
	"Final-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.0.0\r\n\r\n", "X-Receiver: <a@b>\r\n", "NOTIFY=", " ORCPT=rfc822;a ",
	"b=", "h=a:", "from:", "a/b;", "spf=pass smtp.mailfrom=a;", "spf=pass (", "reason=\"", "mx: a\n", "+4", "+41", "\\x{41}", "\\x{", "xn--", "xn--a.",
	"DKIM-Signature: v=1; a=rsa-sha256; d=a; s=a; h=from; bh=a; b=a\r\n",
	"ARC-Seal: i=1; cv=none\r\n", "Authentication-Results: a; spf=pass\r\n", "From: a@b\r\n",
}

// The lengths of the inputs, and how often a length may take as long as the one half
// as long. A quadratic function takes four times as long. The limit is closer to four
// than to two, because the machine may be busy.
const (
	short  = 16 << 10
	long   = 128 << 10 // three doublings
	factor = 3.5
	enough = 25 * time.Millisecond // a function that takes less for the long input is not quadratic
)

// Time runs each function with each unit repeated, and fails the test if its
// processor time is not linear.
func Time(t *testing.T, functions map[string]func(string), units []string) {
	t.Helper()
	for name, f := range functions {
		for _, unit := range units {
			small, large := strings.Repeat(unit, short/len(unit)), strings.Repeat(unit, long/len(unit))
			if s, l, linear := compare(used, f, small, large); !linear {
				t.Errorf("%s of %q repeated: %v for %d KiB, %v for %d KiB", name, unit, s, short>>10, l, long>>10)
			}
		}
	}
}

// compare reports whether the time of a function is linear, and returns its times for
// both inputs. If one run seems to show that it is not, compare takes the best of five
// runs. used is the clock.
func compare(used func() time.Duration, f func(string), small, large string) (s, l time.Duration, linear bool) {
	for _, runs := range []int{1, 5, 5, 5} { // the machine may be busy
		if l = took(used, f, large, runs); l < enough {
			return s, l, true
		}
		s = took(used, f, small, runs)
		if l < time.Duration(factor*factor*factor*float64(s)) {
			return s, l, true
		}
	}
	return s, l, false
}

// begun is when the program began.
var begun = time.Now()

// took returns the time of the fastest of several runs.
func took(used func() time.Duration, f func(string), s string, runs int) time.Duration {
	best := time.Hour
	for range runs {
		start := used()
		f(s)
		best = min(best, used()-start)
	}
	return best
}

// Work fails the test if the work for an input of the size 2n is not about twice the
// work for n, for example the number of allocations or of bytes.
func Work(t *testing.T, what string, n int, work func(n int) float64) {
	t.Helper()
	small, large := work(n), work(2*n)
	if large > 2.7*small {
		t.Errorf("%s: %.0f for %d, %.0f for %d", what, small, n, large, 2*n)
	}
}

// Allocations is Work for the number of allocations of a function. prepare returns the
// function for an input of the size n.
func Allocations(t *testing.T, what string, n int, prepare func(n int) func()) {
	t.Helper()
	Work(t, what+": allocations", n, func(n int) float64 { return testing.AllocsPerRun(2, prepare(n)) })
}
