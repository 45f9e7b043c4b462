package pickup

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Any file of twice the length takes about twice the time.
func TestDoubling(t *testing.T) {
	f := &Folder{MaxHeader: 1 << 30}
	doubling.Time(t, map[string]func(string){
		"compose":    func(s string) { f.compose(crlf([]byte(s))) },
		"recipients": func(s string) { f.compose(crlf([]byte("From: a@b\r\nTo: " + s))) },
		"body":       func(s string) { f.compose(crlf([]byte("From: a@b\r\nTo: a@b\r\n\r\n" + s))) },
	}, doubling.Units)
}

// Recipients are compared by their keys: a file with twice the recipients takes twice
// the work.
func TestRecipientsAreLinear(t *testing.T) {
	doubling.Allocations(t, "recipients", 200, func(n int) func() {
		var b strings.Builder
		b.WriteString("From: a@example.com\r\n")
		for i := range n {
			fmt.Fprintf(&b, "To: a@bücher%d.bücher.example\r\n", i)
		}
		f, file := &Folder{MaxHeader: 1 << 20}, []byte(b.String())
		return func() {
			if m, err := f.compose(file); err != nil || len(m.Recipients) != n {
				t.Fatalf("%v, %v", m, err)
			}
		}
	})
}
