package rules

import (
	"bytes"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// An HTML parser finds the added text as text, and not in an element that is
// not shown.
func FuzzPlaceInHTML(f *testing.F) {
	for _, s := range []string{
		"<html><body>x</body></html><!-- </body> -->", "<!--[if mso]></body><![endif]--><style><!-- p {} --></style>", "<a title=\"</body>\">",
		"<script><!--<script></script></body>", "<svg><style></style></svg><![CDATA[>]]>", "<textarea></textarea><title>x</title><noscript><!--</noscript>-->", "<p>1 < 2 &amp",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		at, ok := placeInHTML(text)
		if !ok {
			return
		}
		if bytes.Contains(text, []byte("MARK")) || bytes.Contains(bytes.ToLower(text), []byte("frameset")) {
			return // a parser ignores text in a frameset
		}
		added := string(text[:at]) + "<p>MARK</p>" + string(text[at:])
		root, err := html.Parse(strings.NewReader(added))
		if err != nil {
			return
		}
		for n := range root.Descendants() {
			if n.Type != html.TextNode || n.Data != "MARK" {
				continue
			}
			for up := range n.Ancestors() {
				if up.Type == html.ElementNode && notShown[up.Data] {
					t.Fatalf("%q: the text is in %s", added, up.Data)
				}
			}
			return
		}
		t.Fatalf("%q: the text is not there", added)
	})
}

// If the standard library can decode the input, the result is the same, and
// each offset belongs to the same octet.
func FuzzDecodeQP(f *testing.F) {
	f.Add([]byte("=3Cbody=3e a=\r\nb \t\r\n=zz="))
	f.Add([]byte("= \t\r\n=20  "))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, at := decodeQP(raw, len(raw))
		if at != len(raw) {
			t.Fatalf("%q: %d octets are left", raw, len(raw)-at)
		}
		want, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(raw)))
		if crlf := bytes.Count(raw, []byte("\r")) == bytes.Count(raw, []byte("\r\n")); err == nil && crlf && !bytes.Equal(got, want) {
			t.Fatalf("%q: %q, want %q", raw, got, want)
		}
		for n := range min(len(got), 100) {
			head, at := decodeQP(raw, n)
			if rest, _ := decodeQP(raw[at:], len(raw)); !bytes.Equal(head, got[:n]) || !bytes.HasSuffix(got[n:], bytes.TrimLeft(rest, " \t")) {
				t.Fatalf("%q: %d octets are %q, the rest %q", raw, n, head, rest)
			}
		}
	})
}
