package rules

import (
	"bytes"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A disclaimer adds to a message: what was there is still there, in order.
func FuzzDisclaimer(f *testing.F) {
	f.Add([]byte("Subject: x\r\n\r\nhello\r\n"))
	f.Add([]byte("Content-Type: text/html; charset=iso-8859-1\r\n\r\n<body>\xe4</BODY >"))
	f.Add([]byte("Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=\r\n--b--"))
	f.Add([]byte("Content-Type: image/x\r\nno field\r\n\r\nx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := new(smtpserver.Message)
		if err := m.SetContent(content.Of(data)); err != nil {
			return
		}
		if bytes.Contains(bytes.ToLower(data), []byte("base64")) {
			return // such parts are written anew
		}
		body := read(t, m.Body)
		d := &disclaimer{text: "Grüße", html: "<p>x</p>"}
		if d.apply(m) != nil {
			return
		}
		got := read(t, m.Content())
		if !subsequence(body, got) {
			t.Fatalf("%q became %q", data, got)
		}
		again := new(smtpserver.Message)
		if err := again.SetContent(m.Content()); err != nil || again.Header.Size() != m.Header.Size() {
			t.Fatalf("%q: the header ends elsewhere than it did: %v\n%q", data, err, got)
		}
	})
}

func read(t *testing.T, c smtpserver.Content) []byte {
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func subsequence(sub, all []byte) bool {
	for _, c := range all {
		if len(sub) > 0 && sub[0] == c {
			sub = sub[1:]
		}
	}
	return len(sub) == 0
}
