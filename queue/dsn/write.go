package dsn

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// Content returns the report as a message with CRLF line endings. eightBit
// reports whether it has bytes above 127 and so needs 8BITMIME. If the report
// also has UTF8 set, it needs SMTPUTF8 too.
//
// It is an error if To, ReportingMTA or Recipients is empty, or if Original
// cannot be read.
func (r *Report) Content() (c Content, eightBit bool, err error) {
	if r.To == "" || r.ReportingMTA == "" || len(r.Recipients) == 0 {
		return nil, false, errors.New("dsn: a report needs To, ReportingMTA and Recipients")
	}
	original, full, err := r.original()
	if err != nil {
		return nil, false, err
	}
	w := &writer{boundary: "=_" + rand.Text()}
	w.people(r)
	w.programs(r)
	end := w.enclosed(r, original, full)
	eightBit = w.eightBit || !chars.ASCII(end)
	body := w.buf.Bytes()
	w.buf = bytes.Buffer{}
	w.header(r, original, eightBit)
	eightBit = eightBit || w.eightBit
	return content.Of(w.buf.Bytes(), body, end, []byte("\r\n--"+w.boundary+"--\r\n")), eightBit, nil
}

// A writer writes the report up to the bytes of the original.
type writer struct {
	buf      bytes.Buffer
	boundary string
	eightBit bool
}

func (w *writer) line(format string, args ...any) {
	start := w.buf.Len()
	fmt.Fprintf(&w.buf, format, args...)
	if !chars.ASCII(w.buf.Bytes()[start:]) {
		w.eightBit = true
	}
	w.buf.WriteString("\r\n")
}

func (w *writer) header(r *Report, original []byte, eightBit bool) {
	date := r.Date
	if date.IsZero() {
		date = time.Now()
	}
	id := r.MessageID
	if id == "" {
		id = rand.Text() + "@" + r.ReportingMTA
	}
	w.line("Date: %s", date.Format(time.RFC1123Z))
	w.line("From: Mail Delivery System <%s>", r.from())
	w.line("To: %s", recipientField(r.To, r.UTF8))
	if s := r.subject(original); r.UTF8 {
		w.line("Subject: %s", s)
	} else {
		w.line("Subject: %s", foldWords(mime.QEncoding.Encode("utf-8", s)))
	}
	w.line("Message-ID: <%s>", safe(id))
	if ref := header.Get(header.Of(original, false), "Message-ID"); msgID(ref) {
		w.line("In-Reply-To: %s", ref)
		w.line("References: %s", ref)
	}
	// Automatic responders do not answer it (RFC 3834, 5).
	w.line("Auto-Submitted: auto-replied")
	if r.TLSOptional {
		w.line("TLS-Required: No")
	}
	w.line("MIME-Version: 1.0")
	w.line("Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"%s\"", w.boundary)
	if eightBit || w.eightBit { // also if only one part is 8bit (RFC 2045, 6.4)
		w.line("Content-Transfer-Encoding: 8bit")
	}
	w.line("")
	w.line("This is a delivery status notification in MIME format.")
}

// subject returns r.Subject, or what happened and the subject of the original.
func (r *Report) subject(original []byte) string {
	if r.Subject != "" {
		return clip(clean(strings.ToValidUTF8(r.Subject, "?")), 400)
	}
	subject := pick(r.texts().Subject, english.Subject, r.Recipients[0].Action)
	if s := decodedField(original, "Subject"); s != "" {
		subject += ": " + clip(clean(s), 200)
	}
	return subject
}

// decodedField returns the value of a field with its encoded words decoded.
func decodedField(b []byte, name string) string {
	s := header.Get(header.Of(b, false), name)
	if d, err := new(mime.WordDecoder).DecodeHeader(s); err == nil && utf8.ValidString(d) {
		s = d
	}
	return strings.ToValidUTF8(s, "?")
}

func (w *writer) part(contentType string) {
	w.line("")
	w.line("--%s", w.boundary)
	w.line("Content-Type: %s", contentType)
}

// people writes the part for people.
func (w *writer) people(r *Report) {
	human := r.Text
	if human == "" {
		var b strings.Builder
		r.human(&b)
		human = b.String()
	}
	w.part("text/plain; charset=utf-8")
	w.line("Content-Description: Notification")
	w.line("Content-Language: %s", safe(first(r.texts().Language, "en")))
	human = cleanLines(strings.ToValidUTF8(human, "?"))
	if chars.ASCII(human) && !longLines(human) {
		w.line("Content-Transfer-Encoding: 7bit")
		w.line("")
		w.buf.WriteString(strings.ReplaceAll(human, "\n", "\r\n"))
		return
	}
	w.line("Content-Transfer-Encoding: quoted-printable")
	w.line("")
	qp := quotedprintable.NewWriter(&w.buf)
	io.WriteString(qp, strings.ReplaceAll(human, "\n", "\r\n"))
	qp.Close()
}

// programs writes the delivery-status part (RFC 3464, 2; RFC 6533, 4).
func (w *writer) programs(r *Report) {
	if r.UTF8 {
		w.part("message/global-delivery-status")
		w.line("Content-Transfer-Encoding: 8bit")
	} else {
		w.part("message/delivery-status")
	}
	w.line("Content-Description: Delivery report")
	w.line("")
	if r.EnvelopeID != "" {
		w.line("Original-Envelope-Id: %s", safe(r.EnvelopeID))
	}
	w.line("Reporting-MTA: dns; %s", safe(r.ReportingMTA))
	if r.ReceivedFrom != "" {
		w.line("Received-From-MTA: dns; %s", safe(r.ReceivedFrom))
	}
	if !r.Arrival.IsZero() {
		w.line("Arrival-Date: %s", r.Arrival.Format(time.RFC1123Z))
	}
	for i := range r.Recipients {
		w.line("")
		w.recipient(r, &r.Recipients[i])
	}
}

func (w *writer) recipient(r *Report, rc *Recipient) {
	if rc.Original != "" {
		w.line("Original-Recipient: %s", address(rc.Original, rc.OriginalType, r.UTF8))
	}
	w.line("Final-Recipient: %s", address(rc.Final, "", r.UTF8))
	w.line("Action: %s", rc.Action)
	w.line("Status: %d.%d.%d", rc.Status[0], rc.Status[1], rc.Status[2])
	if rc.RemoteMTA != "" {
		w.line("Remote-MTA: dns; %s", safe(rc.RemoteMTA))
	}
	if rc.RemoteMTA != "" && rc.Diagnostic != "" {
		w.line("Diagnostic-Code: %s", fold("smtp; "+diagnostic(rc.Diagnostic, r.UTF8)))
	} else if s := first(rc.Reason, rc.Diagnostic); s != "" {
		w.line("Diagnostic-Code: %s", fold(ownDiagnostic+"; "+diagnostic(s, r.UTF8)))
	}
	if !rc.LastAttempt.IsZero() {
		w.line("Last-Attempt-Date: %s", rc.LastAttempt.Format(time.RFC1123Z))
	}
	if rc.Action == Delayed && !rc.RetryUntil.IsZero() {
		w.line("Will-Retry-Until: %s", rc.RetryUntil.Format(time.RFC1123Z))
	}
}
