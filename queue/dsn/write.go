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

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/xtext"
)

const defaultMaxOriginal = 50 << 10 // Postfix, bounce_size_limit

// Content writes the report as a message, with CRLF line ends. eightBit says
// that it has bytes above 127, so that it needs 8BITMIME.
func (r *Report) Content() (c Content, eightBit bool, err error) {
	if r.To == "" || r.ReportingMTA == "" || len(r.Recipients) == 0 {
		return nil, false, errors.New("dsn: a report needs To, ReportingMTA and Recipients")
	}
	original, full, err := r.original()
	if err != nil {
		return nil, false, err
	}
	w := &writer{boundary: "=_" + rand.Text()}
	w.header(r, original)
	w.people(r)
	w.machines(r)
	w.enclosed(r, original, full)
	eightBit = w.eightBit || !ascii(original)
	return content.Of(w.buf.Bytes(), original, []byte("\r\n--"+w.boundary+"--\r\n")), eightBit, nil
}

// writer gathers the report up to the original's bytes.
type writer struct {
	buf      bytes.Buffer
	boundary string
	eightBit bool
}

func (w *writer) line(format string, args ...any) {
	start := w.buf.Len()
	fmt.Fprintf(&w.buf, format, args...)
	if !ascii(w.buf.Bytes()[start:]) {
		w.eightBit = true
	}
	w.buf.WriteString("\r\n")
}

func (w *writer) header(r *Report, original []byte) {
	date := r.Date
	if date.IsZero() {
		date = time.Now()
	}
	id := r.MessageID
	if id == "" {
		id = rand.Text() + "@" + r.ReportingMTA
	}
	from := first(r.From, "postmaster@"+r.ReportingMTA)
	w.line("Date: %s", date.Format(time.RFC1123Z))
	w.line("From: Mail Delivery System <%s>", oneLine(from))
	w.line("To: <%s>", oneLine(r.To))
	subject := pick(r.texts().Subject, english.Subject, r.Recipients[0].Action)
	if s := fieldOf(original, "Subject"); s != "" {
		if d, err := new(mime.WordDecoder).DecodeHeader(s); err == nil && utf8.ValidString(d) {
			s = d
		}
		subject += ": " + clip(clean(strings.ToValidUTF8(s, "?")), 200)
	}
	if r.UTF8 {
		w.line("Subject: %s", subject)
	} else {
		w.line("Subject: %s", foldWords(mime.QEncoding.Encode("utf-8", subject)))
	}
	w.line("Message-ID: <%s>", oneLine(id))
	if ref := fieldOf(original, "Message-ID"); msgID(ref) {
		w.line("In-Reply-To: %s", ref)
		w.line("References: %s", ref)
	}
	// RFC 3834, 5: so that nobody answers it by machine.
	w.line("Auto-Submitted: auto-replied")
	w.line("MIME-Version: 1.0")
	w.line("Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"%s\"", w.boundary)
	w.line("")
	w.line("This is a delivery status notification in MIME format.")
}

func (w *writer) part(contentType string) {
	w.line("")
	w.line("--%s", w.boundary)
	w.line("Content-Type: %s", contentType)
}

// people writes the text part.
func (w *writer) people(r *Report) {
	var b strings.Builder
	r.human(&b)
	w.part("text/plain; charset=utf-8")
	w.line("Content-Description: Notification")
	w.line("Content-Language: %s", first(r.texts().Language, "en"))
	text := strings.ToValidUTF8(b.String(), "?")
	if ascii([]byte(text)) && !longLines(text) {
		w.line("Content-Transfer-Encoding: 7bit")
		w.line("")
		w.buf.WriteString(strings.ReplaceAll(text, "\n", "\r\n"))
		return
	}
	w.line("Content-Transfer-Encoding: quoted-printable")
	w.line("")
	qp := quotedprintable.NewWriter(&w.buf)
	io.WriteString(qp, strings.ReplaceAll(text, "\n", "\r\n"))
	qp.Close()
}

// machines writes the delivery-status part (RFC 3464, 2; RFC 6533, 4).
func (w *writer) machines(r *Report) {
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
	if rc.Diagnostic != "" && rc.RemoteMTA != "" {
		w.line("Diagnostic-Code: smtp; %s", fold(safe(rc.Diagnostic)))
	}
	if !rc.LastAttempt.IsZero() {
		w.line("Last-Attempt-Date: %s", rc.LastAttempt.Format(time.RFC1123Z))
	}
	if rc.Action == Delayed && !rc.RetryUntil.IsZero() {
		w.line("Will-Retry-Until: %s", rc.RetryUntil.Format(time.RFC1123Z))
	}
}

// enclosed writes the head of the part with the original.
func (w *writer) enclosed(r *Report, original []byte, full bool) {
	eight := !ascii(original)
	switch {
	case full && r.UTF8:
		w.part("message/global")
	case full:
		w.part("message/rfc822")
	case r.UTF8:
		w.part("message/global-headers")
	default:
		w.part("text/rfc822-headers")
	}
	if full {
		w.line("Content-Description: Undelivered message")
	} else {
		w.line("Content-Description: Undelivered message's header")
	}
	if eight {
		w.line("Content-Transfer-Encoding: 8bit")
	}
	w.line("")
}

// address writes an address with its type: RFC 3464, 2.3.1; RFC 6533, 3.
func address(a string, typ smtp.DSNAddressType, utf8 bool) string {
	switch {
	case typ == smtp.DSNAddressTypeUTF8 || !ascii([]byte(a)):
		return "utf-8; " + xtext.EncodeUTF8Addr(oneLine(a), !utf8)
	case typ != "" && typ != smtp.DSNAddressTypeRFC822:
		return strings.ToLower(safe(string(typ))) + "; " + safe(a)
	}
	return "rfc822; " + safe(a)
}

// original is the message's bytes that are enclosed.
func (r *Report) original() (b []byte, full bool, err error) {
	if r.Original == nil {
		return nil, false, nil
	}
	limit := r.MaxOriginal
	if limit <= 0 {
		limit = defaultMaxOriginal
	}
	b = make([]byte, min(r.Original.Size(), limit))
	if n, err := r.Original.ReadAt(b, 0); n < len(b) {
		return nil, false, fmt.Errorf("dsn: the original cannot be read: %w", err)
	}
	if !r.Headers && r.Original.Size() <= limit {
		return b, true, nil
	}
	return header(b), false, nil
}
