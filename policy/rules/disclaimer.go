package rules

import (
	"bytes"
	"encoding/base64"
	"errors"
	"html"
	"io"
	"mime/quotedprintable"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Disclaimer adds a text below what a message says: to its plain text, and to
// its HTML. Nothing else in the message is touched. htmlText is HTML; where it
// is empty, it is made of text.
//
// Where the text has no place to go, the whole message becomes the first part
// of a new one, with the text as the second: messages that are signed or
// encrypted (which stay so), that have no text, whose charset lacks a
// character of it, or of which readers may make different things. A message with more than 1000 parts is refused, with 554.
//
// A DKIM signature over the body does not survive; sign afterwards.
func Disclaimer(text, htmlText string) Action {
	if strings.TrimSpace(text) == "" {
		return Action{err: errors.New("Disclaimer: the text is empty")}
	}
	if htmlText == "" {
		htmlText = "<p>" + strings.ReplaceAll(html.EscapeString(strings.TrimSpace(text)), "\n", "<br>\n") + "</p>"
	}
	d := &disclaimer{text: crlf(text), html: crlf(asciiHTML(htmlText))}
	return Do("ApplyDisclaimer", strings.TrimSpace(text), func(m *Mail, _ []string) error { return d.apply(m.Message) })
}

type disclaimer struct{ text, html string }

// crlf ends every line with CRLF, but not the last one.
func crlf(s string) string {
	s = strings.ReplaceAll(strings.TrimRight(s, "\r\n"), "\r\n", "\n")
	return strings.ReplaceAll(s, "\n", "\r\n")
}

// asciiHTML writes what is not ASCII as character references, which mean the
// same in every charset.
func asciiHTML(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			b.WriteString("&#" + strconv.Itoa(int(r)) + ";")
		}
	}
	return b.String()
}

func (d *disclaimer) apply(m *smtpserver.Message) error {
	c := m.Content()
	parts, err := mimetree.Parse(c, mimetree.Limits{})
	if err != nil {
		return err
	}
	var edits []envelope.Edit
	done := map[string]bool{}
	for i := range parts {
		p := &parts[i]
		if p.Unclear() != "" {
			return d.wrap(m)
		}
		if !isBody(parts, i) || done[p.Type] {
			continue
		}
		text := d.text
		if p.Type == "text/html" {
			text = d.html
		}
		edit, ok, err := add(c, p, text)
		if err != nil {
			return err
		}
		if !ok {
			return d.wrap(m)
		}
		edits = append(edits, edit)
		done[p.Type] = true
	}
	if len(edits) == 0 {
		return d.wrap(m)
	}
	envelope.EditBody(m, edits)
	return nil
}

// isBody says whether a part is the message's text: no attachment, nothing of
// an enclosed message, and not sealed.
func isBody(parts []mimetree.Part, i int) bool {
	p := &parts[i]
	if p.Type != "text/plain" && p.Type != "text/html" || p.Disposition == "attachment" || len(p.Names()) > 0 {
		return false
	}
	for up := p.Parent; up >= 0; up = parts[up].Parent {
		switch t := parts[up].Type; {
		case t == "multipart/signed", t == "multipart/encrypted", !strings.HasPrefix(t, "multipart/"):
			return false
		}
	}
	return true
}

// maxRecode is the longest base64 part that is decoded and encoded again.
const maxRecode = 4 << 20

// add is the edit that adds text to a part, if it can be done.
func add(c smtpserver.Content, p *mimetree.Part, text string) (e envelope.Edit, ok bool, err error) {
	charset := p.Param("charset")
	if p.Type == "text/plain" && strings.EqualFold(p.Param("format"), "flowed") {
		text = stuff(text)
	}
	raw, ok := encode(text, charset)
	if !ok {
		return e, false, nil
	}
	plain := isASCII(raw)
	switch p.Encoding {
	case "", "7bit":
		if !plain {
			return e, false, nil
		}
		return insert(c, p, raw, p.Type == "text/html")
	case "8bit", "binary":
		return insert(c, p, raw, p.Type == "text/html")
	case "quoted-printable":
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		w.Write(raw) // into memory: there is no error
		w.Close()
		return insert(c, p, b.Bytes(), p.Type == "text/html")
	case "base64":
		return recode(c, p, raw)
	}
	return e, false, nil
}

// stuff writes lines as format=flowed wants them (RFC 3676, 4.4): none flows
// into the next, and none is taken for a quotation.
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

// insert puts raw at the end of a part or, in HTML, before </body>.
func insert(c smtpserver.Content, p *mimetree.Part, raw []byte, inHTML bool) (envelope.Edit, bool, error) {
	tail := make([]byte, min(p.End-p.Body, 64<<10))
	at := p.End
	if _, err := c.ReadAt(tail, at-int64(len(tail))); err != nil && err != io.EOF {
		return envelope.Edit{}, false, err
	}
	new, off := place(tail, raw, inHTML)
	at -= int64(len(tail) - off)
	return envelope.Edit{Start: at, End: at, New: new}, true, nil
}

// place says what to put where into text, that the new lines stand by
// themselves and the text ends with a line end where it did.
func place(text, raw []byte, inHTML bool) (new []byte, off int) {
	if inHTML {
		if i := bytes.LastIndex(bytes.ToLower(text), []byte("</body")); i >= 0 {
			return slices.Concat([]byte("\r\n"), raw, []byte("\r\n")), i
		}
	}
	switch {
	case len(text) == 0:
		return raw, 0
	case bytes.HasSuffix(text, []byte("\r\n")):
		return slices.Concat([]byte("\r\n"), raw, []byte("\r\n")), len(text)
	}
	return slices.Concat([]byte("\r\n\r\n"), raw), len(text)
}

// recode decodes a base64 part, adds to it and encodes it again.
func recode(c smtpserver.Content, p *mimetree.Part, raw []byte) (e envelope.Edit, ok bool, err error) {
	if p.End-p.Body > maxRecode {
		return e, false, nil
	}
	text, err := io.ReadAll(p.Open(c))
	if err != nil {
		return e, false, nil // damaged: it is left alone
	}
	new, off := place(text, raw, p.Type == "text/html")
	coded := base64.StdEncoding.EncodeToString(slices.Concat(text[:off], new, text[off:]))
	var b bytes.Buffer
	for len(coded) > 76 { // RFC 2045, 6.8
		b.WriteString(coded[:76] + "\r\n")
		coded = coded[76:]
	}
	b.WriteString(coded)
	if p.Parent < 0 {
		b.WriteString("\r\n")
	}
	return envelope.Edit{Start: p.Body, End: p.End, New: b.Bytes()}, true, nil
}

// encode writes text in a charset in which ASCII is ASCII.
func encode(text, charset string) ([]byte, bool) {
	if !hasASCII(charset) {
		return nil, false
	}
	if isASCII([]byte(text)) {
		return []byte(text), true
	}
	if charset == "" || strings.EqualFold(charset, "us-ascii") {
		return nil, false
	}
	enc, err := htmlindex.Get(charset)
	if err != nil {
		return nil, false
	}
	s, err := enc.NewEncoder().String(text)
	return []byte(s), err == nil
}

// hasASCII says whether ASCII is ASCII in a charset. Those that are not known
// are taken to be like all but a few.
func hasASCII(charset string) bool {
	if e, err := htmlindex.Get(charset); err == nil {
		name, err := htmlindex.Name(e)
		return err == nil && !strings.HasPrefix(name, "utf-16") && name != "replacement"
	}
	charset = strings.ToLower(charset)
	for _, other := range [...]string{"utf-16", "utf-32", "utf-7", "ucs", "iso-10646", "ebcdic", "ibm037", "cp037", "ibm1047", "cp1047"} {
		if strings.Contains(charset, other) {
			return false
		}
	}
	return true
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
