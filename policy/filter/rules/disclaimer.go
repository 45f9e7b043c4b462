package rules

import (
	"errors"
	"html"
	"slices"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Disclaimer adds a text below what a message says: to its plain text, and to
// its HTML. Nothing else in the message is touched. htmlText is HTML; where it
// is empty, it is made of text.
//
// In HTML the text goes before </body>, or at the end, but never into a comment,
// a script, a style or another element whose content is not shown.
//
// Where the text has no place to go, the whole message becomes the first part
// of a new one, with the text as the second: messages that are signed or
// encrypted (which stay so), that have no text, whose charset lacks a
// character of it, or of which readers may make different things. A message with
// more than 1,000 parts is refused, with 554.
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
		if !ok || mimetree.Delimits(parts, i, edit.New) {
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
	if p.Start == p.End && p.Parent >= 0 {
		return false // two delimiters one after the other: some programs see no part there
	}
	if p.Type != "text/plain" && p.Type != "text/html" || p.Disposition == "attachment" || len(p.Names()) > 0 {
		return false
	}
	if slices.ContainsFunc(p.Types(), func(t string) bool { return t != p.Type && strings.Contains(t, "/") }) {
		return false // other programs do not take it for text, or for another text
	}
	for up := p.Parent; up >= 0; up = parts[up].Parent {
		switch t := parts[up].Type; {
		case t == "multipart/signed", t == "multipart/encrypted", !strings.HasPrefix(t, "multipart/"):
			return false
		}
	}
	return true
}
