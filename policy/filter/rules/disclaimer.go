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

// Disclaimer adds a text at the end of the plain text and the HTML text of a
// message. Nothing else in the message changes. htmlText is the HTML form of the
// text. If it is empty, it is made from text.
//
// In HTML, the text is inserted before </body> or at the end, but never in a
// comment, a script, a style or another element whose content is not shown.
//
// If the text cannot be inserted, Disclaimer makes a new message with two
// parts: the whole original message and the text. This happens if the message
// is signed or encrypted (so that the signature stays valid), if it has no
// text, if its charset does not have all characters of the disclaimer, or if
// programs may read the message in different ways. A message with more than
// 1000 parts is refused with 554 5.6.0.
//
// A disclaimer breaks a DKIM signature over the body, so sign after the rules.
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

// asciiHTML replaces characters other than ASCII by character references, which
// are the same in every charset.
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

// isBody reports whether a part is text of the message: not an attachment, not
// in an enclosed message, and not signed or encrypted.
func isBody(parts []mimetree.Part, i int) bool {
	p := &parts[i]
	if p.Start == p.End && p.Parent >= 0 {
		return false // two delimiters one after the other: some programs see no part there
	}
	if p.Type != "text/plain" && p.Type != "text/html" || p.Disposition == "attachment" || len(p.Names()) > 0 {
		return false
	}
	if slices.ContainsFunc(p.Types(), func(t string) bool { return t != p.Type && strings.Contains(t, "/") }) {
		return false // other programs may read it as another type
	}
	for up := p.Parent; up >= 0; up = parts[up].Parent {
		switch t := parts[up].Type; {
		case t == "multipart/signed", t == "multipart/encrypted", !strings.HasPrefix(t, "multipart/"):
			return false
		}
	}
	return true
}
