package content

import (
	"context"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func check(a *Attachments, m *smtpserver.Message) error {
	return a.check(context.Background(), new(smtpserver.Session), m, make(chan struct{}, 1))
}

// After stripping, nothing is left to strip, and the header has the same size
// when the message is parsed again.
func FuzzStrip(f *testing.F) {
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b; name=x.exe\r\n\r\nMZ\r\n--b--\r\n"))
	f.Add([]byte("Content-Disposition: x; filename=x.exe\r\nno field\r\n\r\nMZ"))
	f.Add([]byte("Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nMZ\r\n--b\r\n\r\nMZ"))
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := &Attachments{Names: []string{"*.exe"}, Types: []string{"application/x-msdownload", "a/*"}, Strip: true, Notice: "gone"}
		m := new(smtpserver.Message)
		if err := m.SetContent(content.Of(data)); err != nil || check(a, m) != nil {
			return
		}
		again := new(smtpserver.Message)
		if err := again.SetContent(m.Content()); err != nil {
			t.Fatal(err)
		}
		if again.Header.Size() != m.Header.Size() {
			t.Fatalf("%q: the header has %d bytes, it had %d", data, again.Header.Size(), m.Header.Size())
		}
		size := again.Content().Size()
		if err := check(a, again); err != nil || again.Content().Size() != size {
			t.Fatalf("%q: something is left to strip: %v", data, err)
		}
	})
}
