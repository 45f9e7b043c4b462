package rules

import (
	"bytes"
	"crypto/rand"
	"mime/quotedprintable"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// wrap makes a new message with two parts: the original message, byte for byte
// the same, and the text.
func (d *disclaimer) wrap(m *smtpserver.Message) error {
	boundary := "=_" + rand.Text() // the chance that a message has it is 2^-130
	var first bytes.Buffer
	first.WriteString("--" + boundary + "\r\n")
	hasVersion, encoding := false, ""
	m.Header.Delete(func(f smtpserver.Field) bool {
		hasVersion = hasVersion || f.Is("MIME-Version")
		if !strings.HasPrefix(strings.ToLower(f.Name()), "content-") {
			return false
		}
		if e := strings.ToLower(f.Value()); f.Is("Content-Transfer-Encoding") && (e == "8bit" || e == "binary") {
			encoding = "Content-Transfer-Encoding: " + e + "\r\n" // the multipart needs the same encoding as its parts (RFC 2045, 6.4)
		}
		first.Write(f)
		return true
	})
	first.WriteString("\r\n")
	fields := "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n" + encoding
	if !hasVersion {
		fields = "MIME-Version: 1.0\r\n" + fields
	}
	if err := m.Header.Append(fields); err != nil {
		return err
	}
	var second bytes.Buffer
	second.WriteString("\r\n--" + boundary + "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&second)
	w.Write([]byte(d.text)) // into memory: there is no error
	w.Close()
	second.WriteString("\r\n--" + boundary + "--\r\n")
	return envelope.SetBody(m, content.Join(content.Of(first.Bytes()), envelope.Body(m), content.Of(second.Bytes())))
}
