package main

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// compose returns a plain text message that every mail server accepts: 7-bit,
// with short lines, for text in any language (RFC 2045, 6.7; RFC 2047).
func compose(id string, from, to *mail.Address, subject, text string) queue.Content {
	_, domain, _ := strings.Cut(from.Address, "@")
	var b bytes.Buffer
	for _, f := range [][2]string{
		{"Date", time.Now().Format(time.RFC1123Z)},
		{"From", from.String()},
		{"To", to.String()},
		{"Subject", mime.QEncoding.Encode("utf-8", subject)},
		{"Message-ID", "<" + id + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"}, // prevents vacation replies (RFC 3834, 5)
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b) // turns LF into CRLF
	w.Write([]byte(text))
	w.Close()
	return queue.Bytes(b.Bytes())
}
