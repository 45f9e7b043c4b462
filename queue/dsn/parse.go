package dsn

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/internal/xtext"
)

// ErrNotReport is the error of Parse for a message that is not a delivery status
// notification.
var ErrNotReport = errors.New("dsn: not a delivery status notification")

// Limits of what Parse reads.
const (
	parseMost      = 32 << 20 // bytes
	recipientsMost = 10000
)

// Parse reads a delivery status notification of any mail system. It reads at
// most 32 MiB, and at most 10,000 recipients are allowed.
//
// An error that wraps ErrNotReport means that the message is not a report. Any
// other error says what is wrong with the report.
func Parse(r io.Reader) (*Report, error) {
	b, err := io.ReadAll(io.LimitReader(r, parseMost))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotReport, err)
	}
	var s header.Scanner
	s.Scan(b, true)
	h, body := s.Section(b), b[s.End+s.Blank:]
	typ := header.ParseParams(header.Get(h, "Content-Type"))
	if typ.Value != "multipart/report" || !strings.EqualFold(param(typ, "report-type"), "delivery-status") {
		return nil, ErrNotReport
	}
	p := &Report{MessageID: strings.Trim(header.Get(h, "Message-ID"), "<> ")}
	p.From = mailbox(header.Get(h, "From"))
	p.To = mailbox(header.Get(h, "To"))
	p.TLSOptional = strings.EqualFold(header.Get(h, "TLS-Required"), "No")
	p.Subject = decodedField(h, "Subject")
	p.Date = date(header.Get(h, "Date"))
	parts := multipart.NewReader(bytes.NewReader(body), param(typ, "boundary"))
	found := false
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			break // the end, or a body that is cut short
		}
		if err := p.part(part, &found); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, fmt.Errorf("%w: no delivery-status part", ErrNotReport)
	}
	return p, nil
}

// param returns a parameter. It may have the form of RFC 2231.
func param(p header.Params, name string) string {
	if v := p.Get(name); v != "" {
		return v
	}
	for _, v := range p.Extended(name) {
		return v.Octets
	}
	return ""
}

// part reads one part of the report into r.
func (r *Report) part(part *multipart.Part, found *bool) error {
	body, err := io.ReadAll(decoded(part))
	if err != nil {
		return fmt.Errorf("dsn: cannot decode a part: %w", err)
	}
	typ := header.ParseParams(part.Header.Get("Content-Type")).Value
	switch typ {
	case "text/plain", "":
		if r.Text == "" && !*found {
			r.Text = string(body)
			r.Texts = &Texts{Language: part.Header.Get("Content-Language")}
		}
	case "message/delivery-status", "message/global-delivery-status":
		if *found {
			return errors.New("dsn: two delivery-status parts")
		}
		*found = true
		r.UTF8 = typ == "message/global-delivery-status"
		return r.status(body)
	case "message/rfc822", "message/global":
		if r.Original == nil {
			r.Original = content.Of(body)
		}
	case "text/rfc822-headers", "message/global-headers", "message/rfc822-headers":
		if r.Original == nil {
			r.Original, r.HeaderOnly = content.Of(body), true
		}
	}
	return nil
}

func decoded(part *multipart.Part) io.Reader {
	switch strings.ToLower(strings.TrimSpace(part.Header.Get("Content-Transfer-Encoding"))) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, part)
	case "quoted-printable":
		return quotedprintable.NewReader(part)
	}
	return part
}

// status reads the delivery-status part. It consists of groups of fields. The
// first is about the message, and each other one is about a recipient (RFC 3464,
// 2.1).
func (r *Report) status(body []byte) error {
	body = bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
	for i, group := range groups(body) {
		h, err := fields(group)
		if err != nil {
			return fmt.Errorf("dsn: group %d of the delivery-status part: %w", i+1, err)
		}
		if h.Get("Final-Recipient") == "" && h.Get("Action") == "" {
			if i == 0 {
				r.message(h)
			}
			continue
		}
		rc, err := recipient(h)
		if err != nil {
			return fmt.Errorf("dsn: recipient %d: %w", len(r.Recipients)+1, err)
		}
		if len(r.Recipients) == recipientsMost {
			return fmt.Errorf("dsn: more than %d recipients", recipientsMost)
		}
		r.Recipients = append(r.Recipients, rc)
	}
	if len(r.Recipients) == 0 {
		return errors.New("dsn: the report has no recipient")
	}
	return nil
}

func groups(body []byte) (gs [][]byte) {
	for g := range bytes.SplitSeq(body, []byte("\n\n")) {
		if g = bytes.Trim(g, "\n"); len(g) > 0 {
			gs = append(gs, g)
		}
	}
	return gs
}

// fields reads one group. If a field occurs more than once, the first one counts.
func fields(group []byte) (textproto.MIMEHeader, error) {
	h := textproto.MIMEHeader{}
	for f := range header.All(group) {
		name := f.Name()
		if name == "" && !bytes.Contains(f, []byte(":")) {
			return nil, fmt.Errorf("%q is not a header field", clip(string(f), 80))
		}
		h.Add(name, onOneLine(f))
	}
	return h, nil
}

// onOneLine returns the value of a field with one space in place of each fold.
// Reports often fold in the middle of a text.
func onOneLine(f header.Field) string {
	_, value := f.Cut()
	var lines []string
	for line := range strings.Lines(value) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.TrimSpace(strings.Join(lines, " "))
}

func (r *Report) message(h textproto.MIMEHeader) {
	r.EnvelopeID = h.Get("Original-Envelope-Id")
	_, r.ReportingMTA = typed(h.Get("Reporting-Mta"))
	_, r.ReceivedFrom = typed(h.Get("Received-From-Mta"))
	r.Arrival = date(h.Get("Arrival-Date"))
}

func recipient(h textproto.MIMEHeader) (rc Recipient, err error) {
	if _, rc.Final, err = addressOf(h.Get("Final-Recipient")); err != nil {
		return rc, fmt.Errorf("field Final-Recipient: %w", err)
	}
	if o := h.Get("Original-Recipient"); o != "" {
		if rc.OriginalType, rc.Original, err = addressOf(o); err != nil {
			return rc, fmt.Errorf("field Original-Recipient: %w", err)
		}
	}
	action, _, _ := strings.Cut(strings.ToLower(h.Get("Action")), " ")
	switch rc.Action = Action(action); rc.Action {
	case Failed, Delayed, Delivered, Relayed, Expanded:
	default:
		return rc, fmt.Errorf("field Action: %q is not an action", clip(action, 40))
	}
	if rc.Status, err = status(h.Get("Status")); err != nil {
		return rc, err
	}
	_, rc.RemoteMTA = typed(h.Get("Remote-Mta"))
	if kind, text := typed(h.Get("Diagnostic-Code")); strings.EqualFold(kind, ownDiagnostic) {
		rc.Reason = undiagnostic(text)
	} else {
		rc.Diagnostic = undiagnostic(text)
	}
	rc.LastAttempt = date(h.Get("Last-Attempt-Date"))
	rc.RetryUntil = date(h.Get("Will-Retry-Until"))
	return rc, nil
}

// status reads a status code such as "5.1.1". A comment may follow it.
func status(s string) (c smtp.EnhancedCode, err error) {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 {
		return c, fmt.Errorf("field Status: %q is not a status code", clip(s, 40))
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 10)
		if err != nil || len(p) > 3 {
			return c, fmt.Errorf("field Status: %q is not a status code", clip(s, 40))
		}
		c[i] = int(n)
	}
	return c, nil
}

// addressOf reads "type; address".
func addressOf(s string) (typ smtp.DSNAddressType, address string, err error) {
	t, a := typed(s)
	if a == "" {
		return "", "", fmt.Errorf("%q has no address", clip(s, 80))
	}
	typ = smtp.DSNAddressType(strings.ToUpper(t))
	if typ == smtp.DSNAddressTypeUTF8 {
		if d, err := xtext.DecodeUTF8Addr(a); err == nil {
			a = d
		}
	}
	if len(a) > 1 && a[0] == '<' && a[len(a)-1] == '>' {
		a = a[1 : len(a)-1] // some mail systems write angle brackets
	}
	return typ, a, nil
}

func typed(s string) (typ, value string) {
	typ, value, ok := strings.Cut(s, ";")
	if !ok {
		return "", strings.TrimSpace(s)
	}
	return strings.TrimSpace(typ), strings.TrimSpace(value)
}

func date(s string) time.Time {
	t, err := mail.ParseDate(s)
	if err != nil {
		return time.Time{}
	}
	return t
}
