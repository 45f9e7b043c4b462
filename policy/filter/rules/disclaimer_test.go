package rules_test

import (
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
)

// message returns a message with the given header and body.
func message(header, body string) string {
	return "From: a@example.com\r\n" + header + "Subject: x\r\n\r\n" + body
}

const (
	text   = "Confidential.\nExample Ltd"
	inText = "Confidential.\r\nExample Ltd"
	inHTML = "<p>Confidential.<br>\r\nExample Ltd</p>"
)

func TestDisclaimerIsBelowTheText(t *testing.T) {
	for name, c := range map[string]struct{ header, body, want string }{
		"no MIME":    {"", "hello\r\n", "hello\r\n\r\n" + inText + "\r\n"},
		"empty":      {"", "", inText},
		"8bit":       {"Content-Transfer-Encoding: 8bit\r\n", "gr\xfc\xdfe\r\n", "gr\xfc\xdfe\r\n\r\n" + inText + "\r\n"},
		"QP":         {"Content-Transfer-Encoding: Quoted-Printable\r\n", "=3D=\r\n\r\n", "=3D=\r\n\r\n\r\n" + inText + "\r\n"},
		"base64":     {"Content-Transfer-Encoding: base64\r\n", "aGVsbG8NCg==\r\n", "aGVsbG8NCg0KQ29uZmlkZW50aWFsLg0KRXhhbXBsZSBMdGQNCg==\r\n"},
		"HTML":       {"Content-Type: text/html\r\n", "<html><BODY>x</BODY></html>\r\n", "<html><BODY>x\r\n" + inHTML + "\r\n</BODY></html>\r\n"},
		"HTML alone": {"Content-Type: text/html\r\n", "x", "x\r\n\r\n" + inHTML + "\r\n"},
		"alternative": {"Content-Type: multipart/alternative; boundary=b\r\n",
			"--b\r\n\r\nx\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p a=3D1>x</p></body>\r\n--b--\r\n",
			"--b\r\n\r\nx\r\n\r\n" + inText + "\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p a=3D1>x</p>\r\n" + inHTML + "\r\n</body>\r\n--b--\r\n"},
		"with attachments": {"Content-Type: multipart/mixed; boundary=b\r\n",
			"--b\r\nContent-Type: text/plain; name=a.txt\r\n\r\nattached\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\ninner\r\n--b\r\n\r\nouter\r\n--b\r\n\r\nsecond\r\n--b--\r\n",
			"--b\r\nContent-Type: text/plain; name=a.txt\r\n\r\nattached\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\ninner\r\n--b\r\n\r\nouter\r\n\r\n" + inText + "\r\n--b\r\n\r\nsecond\r\n--b--\r\n"},
	} {
		got := apply(t, message(c.header, c.body), nil, rules.Disclaimer(text, ""))
		want := message(c.header, c.want)
		if got.Data != want && got.Data != want+"\r\n" { // the client adds the last line end
			t.Errorf("%s:\n%q\nwant\n%q", name, got.Data, want)
		}
	}
}

// RFC 3676: no line of the text is a quotation, or continues on the next line.
func TestDisclaimerInFlowedText(t *testing.T) {
	flowed := message("Content-Type: text/plain; format=Flowed\r\n", "a \r\nparagraph\r\n")
	got := apply(t, flowed, nil, rules.Disclaimer("-- \nExample  \n> Ltd\n From here\nFrom there", ""))
	if want := flowed + "\r\n-- \r\nExample\r\n > Ltd\r\n  From here\r\n From there\r\n"; got.Data != want {
		t.Errorf("%q, want %q", got.Data, want)
	}
}

func TestDisclaimerInOtherCharsets(t *testing.T) {
	const umlaut = "Vertraulich: Grüße €"
	qp := message("Content-Type: text/plain; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n", "x\r\n")
	got := apply(t, qp, nil, rules.Disclaimer(umlaut, ""))
	if got.Data != qp+"\r\nVertraulich: Gr=FC=DFe =80\r\n" {
		t.Errorf("windows-1252:\n%s", got.Data)
	}
	utf8 := message("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", "x\r\n")
	if got := apply(t, utf8, nil, rules.Disclaimer(umlaut, "")); got.Data != utf8+"\r\n"+umlaut+"\r\n" {
		t.Errorf("utf-8:\n%s", got.Data)
	}
	html := message("Content-Type: text/html; charset=us-ascii\r\n", "x\r\n")
	if got := apply(t, html, nil, rules.Disclaimer(umlaut, "")); got.Data != html+"\r\n<p>Vertraulich: Gr&#252;&#223;e &#8364;</p>\r\n" {
		t.Errorf("html:\n%s", got.Data)
	}
}

// If the text cannot be inserted, the original message is a part of a new
// message.
func TestDisclaimerWraps(t *testing.T) {
	const umlaut = "Grüße €"
	for name, c := range map[string]struct{ header, body string }{
		"signed":        {"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s;\r\n\tprotocol=\"application/pkcs7-signature\"\r\n", "--s\r\n\r\nsigned\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--s--\r\n"},
		"no text":       {"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n", "AAAA\r\n"},
		"charset":       {"Content-Type: text/plain; charset=iso-8859-2\r\nContent-Transfer-Encoding: 8bit\r\n", "x\r\n"},
		"plain ASCII":   {"", "x\r\n"},
		"unknown":       {"Content-Type: text/plain; charset=x-own\r\nContent-Transfer-Encoding: 8bit\r\n", "x\r\n"},
		"two encodings": {"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Transfer-Encoding: base64\r\n", "AHg=\r\n"},
		"UCS-2":         {"Content-Type: text/plain; charset=iso-10646-ucs-2\r\nContent-Transfer-Encoding: base64\r\n", "AHg=\r\n"},
		"EBCDIC":        {"Content-Type: text/plain; charset=IBM037\r\nContent-Transfer-Encoding: 8bit\r\n", "\x81\r\n"},
		"UTF-16":        {"Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n", "AHg=\r\n"},
		"broken base64": {"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n", "AHg\r\n"},
	} {
		got := apply(t, message(c.header, c.body), nil, rules.Disclaimer(umlaut, ""))
		first, second := unwrap(t, name, got.Data)
		contentFields := strings.Replace(c.header, "MIME-Version: 1.0\r\n", "", 1)
		if !strings.Contains(got.Data, "\r\n"+contentFields+"\r\n"+c.body+"\r\n--=_") || first != c.body {
			t.Errorf("%s: the first part is not what the message was:\n%s", name, got.Data)
		}
		if outer, _, _ := strings.Cut(got.Data, "\r\n\r\n"); strings.Contains(c.header, "8bit") != strings.Contains(outer, "Transfer-Encoding: 8bit") {
			t.Errorf("%s: a part of 8 bits and a whole of 7:\n%s", name, outer) // RFC 2045, 6.4
		}
		if second != umlaut {
			t.Errorf("%s: the second part says %q", name, second)
		}
	}
}

func unwrap(t *testing.T, name, data string) (first, second string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(name, err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" || len(m.Header["Mime-Version"]) != 1 {
		t.Fatalf("%s: %v, %s:\n%s", name, err, kind, data)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for _, to := range []*string{&first, &second} {
		p, err := r.NextRawPart()
		if err != nil {
			t.Fatal(name, err)
		}
		var body io.Reader = p
		if to == &second {
			body = quotedprintable.NewReader(p)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(name, err)
		}
		*to = string(b)
	}
	return first, second
}
