package firewall

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// After clean, a second clean changes nothing, and every line that remains was
// in the message before.
func FuzzOutbound(f *testing.F) {
	f.Add([]byte(report))
	f.Add([]byte("Content-Type: multipart/report; boundary=b\r\nno field\r\nX-MS-Exchange-Organization-A: 1\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nX-MS-Exchange-Organization-A: 1"))
	f.Add([]byte("X-MS-Exchange-Organization-A: 1\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\nX-MS-Exchange-Organization-A:\r\n\t1\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := new(smtpserver.Message)
		if err := m.SetContent(content.Of(data)); err != nil {
			return
		}
		var was, is strings.Builder
		m.Content().WriteTo(&was)
		changed, err := new(Outbound).clean(m)
		if err != nil {
			return
		}
		m.Content().WriteTo(&is)
		if changed != (was.String() != is.String()) {
			t.Fatalf("%q became %q: changed is %v", was.String(), is.String(), changed)
		}
		for line := range strings.Lines(is.String()) {
			if !strings.Contains(was.String(), line) {
				t.Fatalf("%q became %q: line %q is new", was.String(), is.String(), line)
			}
		}
		if changed, err := new(Outbound).clean(m); changed || err != nil {
			t.Fatalf("%q became %q, and a second clean changes it: %v", was.String(), is.String(), err)
		}
	})
}
