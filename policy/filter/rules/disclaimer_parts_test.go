package rules_test

import (
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
)

// In each part, the delimiter after the part stays on its own line (RFC 2046,
// 5.1.1), and the text is in the body of the part.
func TestDisclaimerKeepsDelimiters(t *testing.T) {
	const next = "--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\n%PDF\r\n--b--\r\n"
	bodies := map[string]string{
		"empty":          "\r\n",
		"no blank line":  "",
		"empty line":     "\r\n\r\n",
		"one line":       "\r\nhi\r\n",
		"two line ends":  "\r\nhi\r\n\r\n",
		"white space":    "\r\n \r\n",
		"begins as next": "\r\n--bb\r\n",
	}
	for _, kind := range []string{"", "Content-Type: text/plain; charset=utf-8\r\n", "Content-Type: text/html; charset=utf-8\r\n", "Content-Type: text\r\n"} {
		for _, encoding := range []string{"", "7bit", "8bit", "quoted-printable", "base64"} {
			for name, body := range bodies {
				part := kind
				if encoding != "" {
					part += "Content-Transfer-Encoding: " + encoding + "\r\n"
				}
				if encoding == "base64" {
					body = strings.ReplaceAll(strings.ReplaceAll(body, "hi", "aGk="), "--bb", "")
				}
				if part+body == "" {
					continue // see TestDisclaimerBetweenDelimiters
				}
				for where, message := range map[string]string{
					"first":        "Content-Type: multipart/mixed; boundary=b\r\nSubject: x\r\n\r\n--b\r\n" + part + body + next,
					"nested, last": "Content-Type: multipart/mixed; boundary=b\r\nSubject: x\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n" + part + body + next,
					"nested":       "Content-Type: multipart/mixed; boundary=b\r\nSubject: x\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n" + part + body + "--c--\r\n" + next,
				} {
					name := strings.Join([]string{kind, encoding, name, where}, ", ")
					got := apply(t, "From: a@example.com\r\n"+message, nil, rules.Disclaimer("First.\n- bye", "")).Data
					var leaves []string
					readParts(t, name, got, &leaves)
					if len(leaves) != 2 || leaves[1] != "%PDF" || !strings.Contains(leaves[0], "First.") {
						t.Errorf("%s: parts %q of\n%s", name, leaves, got)
					}
					if hi := strings.Contains(body, "hi") || strings.Contains(body, "aGk="); hi && !strings.HasPrefix(leaves[0], "hi") {
						t.Errorf("%s: the text is lost: %q", name, leaves[0])
					}
				}
			}
		}
	}
}

// For some programs there is a part between two successive delimiters, and for
// others there is none. No text is inserted there.
func TestDisclaimerBetweenDelimiters(t *testing.T) {
	const head = "From: a@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\nSubject: x\r\n\r\n--b\r\n--b\r\n"
	text := head + "\r\nhello\r\n--b--\r\n"
	if got := apply(t, text, nil, rules.Disclaimer("First.", "")).Data; got != strings.Replace(text, "hello\r\n", "hello\r\n\r\nFirst.\r\n", 1) {
		t.Errorf("beside another text:\n%s", got)
	}
	const none = "--b\r\n--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--\r\n"
	if got := apply(t, strings.Replace(text, text[len(head)-len("--b\r\n--b\r\n"):], none, 1), nil, rules.Disclaimer("First.", "")).Data; !strings.Contains(got, none) || !strings.Contains(got, "First.") {
		t.Errorf("alone:\n%s", got)
	}
}

// readParts reads a message with Go's standard library and appends all parts
// that are not multiparts to leaves.
func readParts(t *testing.T, name, message string, leaves *[]string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(message))
	if err != nil {
		t.Fatalf("%s: %v in\n%s", name, err, message)
	}
	readBody(t, name, m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body, leaves)
}

func readBody(t *testing.T, name, contentType, encoding string, body io.Reader, leaves *[]string) {
	t.Helper()
	if kind, params, err := mime.ParseMediaType(contentType); err == nil && strings.HasPrefix(kind, "multipart/") {
		for r := multipart.NewReader(body, params["boundary"]); ; {
			p, err := r.NextRawPart()
			if err == io.EOF || err == io.ErrUnexpectedEOF || err != nil && strings.Contains(err.Error(), "EOF") {
				return
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			readBody(t, name, p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p, leaves)
		}
	}
	switch encoding {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	b, err := io.ReadAll(body)
	if err != nil && err != io.ErrUnexpectedEOF { // a multipart without its closing delimiter
		t.Errorf("%s: %v", name, err)
	}
	*leaves = append(*leaves, string(b))
}

// A message without a body gets the text as its body.
func TestDisclaimerWithoutBody(t *testing.T) {
	for _, kind := range []string{"", "Content-Type: text/html\r\n", "Content-Transfer-Encoding: base64\r\n"} {
		got := apply(t, "From: a@example.com\r\n"+kind+"Subject: x\r\n", nil, rules.Disclaimer("First.", "")).Data
		var leaves []string
		readParts(t, kind, got, &leaves)
		if len(leaves) != 1 || !strings.Contains(leaves[0], "First.") {
			t.Errorf("%q: %q", kind, got)
		}
	}
}

// A sender cannot use the disclaimer text as a delimiter.
func TestDisclaimerIsNotADelimiter(t *testing.T) {
	const head = "From: a@example.com\r\nContent-Type: multipart/mixed; boundary=\"- Example Ltd -\"\r\nSubject: x\r\n\r\n"
	const body = "--- Example Ltd -\r\n\r\nhello\r\n--- Example Ltd ---\r\n"
	got := apply(t, head+body, nil, rules.Disclaimer("--- Example Ltd ---\nConfidential.", "")).Data
	var leaves []string
	readParts(t, "", got, &leaves)
	if len(leaves) != 2 || leaves[0] != "hello" || !strings.HasSuffix(leaves[1], "Confidential.") {
		t.Errorf("%q of\n%s", leaves, got)
	}
}

// In HTML, the text is at a place that mail programs show, in every encoding.
// If this is not certain, the text is a separate part.
func TestDisclaimerInHTML(t *testing.T) {
	const page = "<html><body>ü<!-- </body> -->\r\n<a title=\"</body>\">x</a></body></html><!-- </body> -->\r\n"
	const want = "<html><body>ü<!-- </body> -->\r\n<a title=\"</body>\">x</a>\r\n<p>First.</p>\r\n</body></html><!-- </body> -->\r\n"
	const hidden = "<p>x</p><!-- </body>\r\n"
	encode := map[string]func(string) string{
		"8bit": func(s string) string { return s },
		"quoted-printable": func(s string) string {
			return strings.NewReplacer("ü", "=C3=BC", "\"></a", "=22></a", "</body></html>", "=3C=\r\n/bo=  \r\ndy></html>", "=", "=3D").Replace(s)
		},
		"base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) + "\r\n" },
	}
	for encoding, code := range encode {
		head := "From: a@example.com\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: " + encoding + "\r\nSubject: x\r\n\r\n"
		got := apply(t, head+code(page), nil, rules.Disclaimer("First.", "")).Data
		var leaves []string
		readParts(t, encoding, got, &leaves)
		if len(leaves) != 1 || strings.TrimRight(leaves[0], "\r\n") != strings.TrimRight(want, "\r\n") {
			t.Errorf("%s:\n%q\nwant\n%q\n%s", encoding, leaves, want, got)
		}
		got = apply(t, head+code(hidden), nil, rules.Disclaimer("First.", "")).Data
		leaves = nil
		readParts(t, encoding, got, &leaves)
		if len(leaves) != 2 || strings.TrimRight(leaves[0], "\r\n") != strings.TrimRight(hidden, "\r\n") || leaves[1] != "First." {
			t.Errorf("%s: %q of\n%s", encoding, leaves, got)
		}
	}
	// In ISO-2022-JP, an ASCII octet may be half of a character.
	got := apply(t, "From: a@example.com\r\nContent-Type: text/html; charset=iso-2022-jp\r\nSubject: x\r\n\r\n<p>\x1b$B!<\x1b(B</p>\r\n", nil, rules.Disclaimer("First.", "")).Data
	var leaves []string
	readParts(t, "iso-2022-jp", got, &leaves)
	if len(leaves) != 2 {
		t.Errorf("iso-2022-jp: %q", got)
	}
}
