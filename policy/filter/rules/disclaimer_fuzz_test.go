package rules

import (
	"bytes"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A disclaimer only adds text: the original text remains, in order.
func FuzzDisclaimer(f *testing.F) {
	f.Add([]byte("Subject: x\r\n\r\nhello\r\n"))
	f.Add([]byte("Content-Type: text/html; charset=iso-8859-1\r\n\r\n<body>\xe4</BODY >"))
	f.Add([]byte("Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=\r\n--b--"))
	f.Add([]byte("Content-Type: image/x\r\nno field\r\n\r\nx"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n--b\r\nContent-Type: text/html\r\n\r\n--b\r\n\r\n--b--\r\n"))
	f.Add([]byte("Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<!-- </body> -->=\r\n<p>=3C/body>=  \r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = append(bytes.TrimRight(data, "\r\n"), "\r\n"...) // every accepted message has this
		m := new(smtpserver.Message)
		if err := m.SetContent(content.Of(data)); err != nil {
			return
		}
		if bytes.Contains(bytes.ToLower(data), []byte("base64")) {
			return // such parts are encoded again
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
		if wrapped := bytes.Contains(got, []byte("boundary=\"=_")); !wrapped {
			sameParts(t, data, got)
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

// sameParts checks that a message that was not wrapped has the same parts as
// before, and that only text parts have changed.
func sameParts(t *testing.T, before, after []byte) {
	t.Helper()
	old, err := mimetree.Parse(content.Of(before), mimetree.Limits{})
	if err != nil {
		return
	}
	now, err := mimetree.Parse(content.Of(after), mimetree.Limits{})
	if err != nil || len(now) != len(old) {
		t.Fatalf("%q became %q: %d parts, %d before, %v", before, after, len(now), len(old), err)
	}
	for i := range old {
		was, is := before[old[i].Body:old[i].End], after[now[i].Body:now[i].End]
		if text := old[i].Type == "text/plain" || old[i].Type == "text/html"; old[i].Leaf() && !text && !bytes.Equal(was, is) {
			t.Fatalf("%q became %q: part %d", before, after, i)
		}
		if old[i].Type != now[i].Type {
			t.Fatalf("%q became %q: part %d is %s", before, after, i, now[i].Type)
		}
	}
}

func subsequence(sub, all []byte) bool {
	for _, c := range all {
		if len(sub) > 0 && sub[0] == c {
			sub = sub[1:]
		}
	}
	return len(sub) == 0
}
