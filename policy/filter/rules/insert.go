package rules

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// maxPart is the largest size of a part that is read as a whole, in bytes: HTML,
// and base64, which is decoded and encoded again. Text is appended to other
// parts without reading them.
const maxPart = 4 << 20

// add returns the edit that adds text to a part. ok is false if that is not
// possible.
func add(c smtpserver.Content, p *mimetree.Part, text string) (e envelope.Edit, ok bool, err error) {
	if p.Type == "text/plain" && strings.EqualFold(p.Param("format"), "flowed") {
		text = stuff(text)
	}
	raw, ok := encode(text, p.Param("charset"))
	if !ok {
		return e, false, nil
	}
	switch p.Encoding {
	case "", "7bit", "7-bit":
		ok = chars.ASCII(raw)
	case "8bit", "8-bit", "binary", "base64":
	case "quoted-printable":
		raw = quotePrintable(raw)
	default:
		ok = false
	}
	whole := p.Type == "text/html" || p.Encoding == "base64"
	if !ok || whole && p.End-p.Body > maxPart || p.Type == "text/html" && hasStates(p.Param("charset")) {
		return e, false, nil
	}
	switch {
	case p.Encoding == "base64":
		e, ok, err = recode(c, p, raw)
	case p.Type == "text/html":
		e, ok, err = insertHTML(c, p, raw)
	default:
		e, err = appendText(c, p, raw)
	}
	if ok && err == nil {
		err = fit(c, p, &e)
	}
	return e, ok, err
}

func quotePrintable(raw []byte) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	w.Write(raw) // into memory: there is no error
	w.Close()
	return b.Bytes()
}

// stuff writes lines in format=flowed (RFC 3676, 4.4) so that no line flows into
// the next one and none looks like a quotation.
func stuff(text string) string {
	lines := strings.Split(text, "\r\n")
	for i, l := range lines {
		if l != "-- " {
			l = strings.TrimRight(l, " ")
		}
		if strings.HasPrefix(l, " ") || strings.HasPrefix(l, ">") || strings.HasPrefix(l, "From ") {
			l = " " + l
		}
		lines[i] = l
	}
	return strings.Join(lines, "\r\n")
}

// appendText puts raw at the end of a part.
func appendText(c smtpserver.Content, p *mimetree.Part, raw []byte) (envelope.Edit, error) {
	tail, err := readAt(c, max(p.Body, p.End-2), p.End)
	return envelope.Edit{Start: p.End, End: p.End, New: below(tail, raw)}, err
}

// insertHTML inserts raw where every program shows it.
func insertHTML(c smtpserver.Content, p *mimetree.Part, raw []byte) (e envelope.Edit, ok bool, err error) {
	body, err := readAt(c, p.Body, p.End)
	if err != nil {
		return e, false, err
	}
	text := body
	if p.Encoding == "quoted-printable" {
		text, _ = decodeQP(body, len(body))
	}
	at, ok := placeInHTML(text)
	if !ok {
		return e, false, nil
	}
	new := between(text, at, raw)
	if p.Encoding == "quoted-printable" {
		_, at = decodeQP(body, at)
	}
	return envelope.Edit{Start: p.Body + int64(at), End: p.Body + int64(at), New: new}, true, nil
}

// recode decodes a base64 part, adds to it and encodes it again.
func recode(c smtpserver.Content, p *mimetree.Part, raw []byte) (e envelope.Edit, ok bool, err error) {
	text, err := io.ReadAll(p.Open(c))
	if err != nil {
		return e, false, nil // damaged: it does not change
	}
	at := len(text)
	if p.Type == "text/html" {
		if at, ok = placeInHTML(text); !ok {
			return e, false, nil
		}
	}
	coded := base64.StdEncoding.EncodeToString(slices.Concat(text[:at], between(text, at, raw), text[at:]))
	var b bytes.Buffer
	for len(coded) > 76 { // RFC 2045, 6.8
		b.WriteString(coded[:76] + "\r\n")
		coded = coded[76:]
	}
	b.WriteString(coded)
	return envelope.Edit{Start: p.Body, End: p.End, New: b.Bytes()}, true, nil
}

// between returns raw with the line ends that it needs at an offset of text, to
// have its own lines.
func between(text []byte, at int, raw []byte) []byte {
	if at == len(text) {
		return below(text, raw)
	}
	return slices.Concat([]byte("\r\n"), raw, []byte("\r\n"))
}

// below returns raw with the line ends that it needs after text: an empty line
// before it, and a line end after it if the text has one.
func below(text, raw []byte) []byte {
	switch {
	case len(text) == 0:
		return raw
	case bytes.HasSuffix(text, []byte("\r\n")):
		return slices.Concat([]byte("\r\n"), raw, []byte("\r\n"))
	}
	return slices.Concat([]byte("\r\n\r\n"), raw)
}

// fit makes an edit conform to RFC 2046, 5.1.1: new text in a part begins after
// the blank line of the part's header and ends before the line end of the next
// delimiter. It adds this blank line or line end if the part has none.
func fit(c smtpserver.Content, p *mimetree.Part, e *envelope.Edit) error {
	if e.Start == p.Body && !p.Blank {
		lastLine, err := readAt(c, max(p.Start, p.Body-2), p.Body)
		if err != nil {
			return err
		}
		blank := "\r\n"
		if len(p.Header) > 0 && !bytes.HasSuffix(lastLine, []byte("\n")) {
			blank = "\r\n\r\n"
		}
		e.New = append([]byte(blank), e.New...)
	}
	if e.End == p.End && !bytes.HasSuffix(e.New, []byte("\r\n")) {
		next, err := readAt(c, p.End, min(c.Size(), p.End+1))
		if err != nil {
			return err
		}
		if !bytes.ContainsAny(next, "\r\n") {
			e.New = append(e.New, "\r\n"...)
		}
	}
	return nil
}

// readAt reads [start, end) of a content.
func readAt(c smtpserver.Content, start, end int64) ([]byte, error) {
	b := make([]byte, end-start)
	n, err := c.ReadAt(b, start)
	if n == len(b) {
		err = nil
	}
	return b, err
}
