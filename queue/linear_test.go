package queue

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// An imported message of twice the length takes about twice the time.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"Import":          func(s string) { Import(String(s)) },
		"Import sender":   func(s string) { Import(String("X-Sender: " + s)) },
		"Import receiver": func(s string) { Import(String("X-Sender: <a@b>\r\nX-Receiver: <c@d> " + s)) },
		"ValidID":         func(s string) { _ = ValidID(s) },
		"Result":          func(s string) { new(Result).UnmarshalJSON([]byte(s)) },
		"Result, text":    func(s string) { new(Result).UnmarshalJSON([]byte(`{"recipients":[` + s)) },
		"Status":          func(s string) { new(Status).UnmarshalText([]byte(s)) },
		"EventKind":       func(s string) { new(EventKind).UnmarshalText([]byte(s)) },
	}, doubling.Units)
}

// A list with twice the members takes about twice the work to expand. All members have
// the same local part, and domains that are expensive to compare.
func TestExpandIsLinear(t *testing.T) {
	doubling.Allocations(t, "members", 200, func(n int) func() {
		var members []string
		for i := range n {
			members = append(members, fmt.Sprintf("a@bücher%d.bücher.example", i))
		}
		return func() {
			m := &Message{Recipients: Rcpt("list@example.com")}
			if err := m.Expand(m.Recipients[0], members...); err != nil || len(m.Recipients) != n+1 {
				t.Fatalf("%d recipients, %v", len(m.Recipients), err)
			}
		}
	})
}

// A message with twice the recipients is exported with about twice the work.
func TestRecipientsAreLinear(t *testing.T) {
	prepare := func(n int) *Message {
		m := &Message{ID: "m", From: "a@example.com", Content: String("Subject: x\r\n\r\n")}
		for i := range n {
			m.Recipients = append(m.Recipients, Rcpt(fmt.Sprintf("a@d%d.example", i))...)
		}
		return m
	}
	doubling.Allocations(t, "export", 1000, func(n int) func() {
		m := prepare(n)
		return func() {
			var b strings.Builder
			if err := Export(&b, m); err != nil {
				t.Fatal(err)
			}
		}
	})
}
