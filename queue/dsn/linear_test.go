package dsn_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// For a report that is twice as long, Parse allocates about twice the memory in
// total, whatever the report consists of. (Repeated copying would show in this
// figure.)
func TestParseIsLinear(t *testing.T) {
	const head = "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
	for name, make := range map[string]func(n int) string{
		"lines of a folded field": func(n int) string {
			return "Final-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; x\r\n" + strings.Repeat(" x\r\n", n)
		},
		"fields": func(n int) string {
			return "Final-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.0.0\r\n" + strings.Repeat("X: y\r\n", n)
		},
		"groups": func(n int) string {
			return strings.Repeat("Final-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.0.0\r\n\r\n", n/20)
		},
		"escapes": func(n int) string {
			return "Final-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; " + strings.Repeat(`\x{`, n) + "}\r\n"
		},
		"parts": func(n int) string {
			return "Final-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.0.0\r\n" + strings.Repeat("\r\n--b\r\n\r\nx\r\n", n/10)
		},
	} {
		t.Run(name, func(t *testing.T) {
			allocated := func(n int) uint64 {
				s := head + make(n) + "\r\n--b--\r\n"
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				if _, err := dsn.Parse(strings.NewReader(s)); err != nil {
					t.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				return after.TotalAlloc - before.TotalAlloc
			}
			if once, twice := allocated(20000), allocated(40000); float64(twice) > 2.7*float64(once) {
				t.Errorf("%d bytes for a report, %d for one twice as long", once, twice)
			}
		})
	}
}
