package dsn_test

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

const reportHead = "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"Parse":       func(s string) { dsn.Parse(strings.NewReader(s)) },
		"Parse, part": func(s string) { dsn.Parse(strings.NewReader(reportHead + s + "\r\n--b--\r\n")) },
		"Parse, recipient": func(s string) {
			dsn.Parse(strings.NewReader(reportHead + "Final-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; " + s + "\r\n--b--\r\n"))
		},
		"IDAndSubject": func(s string) { dsn.IDAndSubject(queue.String(s)) },
	}, doubling.Units)
}
