package mimetree

import (
	"encoding/base64"
	"io"
	"mime/quotedprintable"
)

// Open returns a reader for the body of a part that decodes base64 and
// quoted-printable.
func (p *Part) Open(c Content) io.Reader {
	r := io.NewSectionReader(c, p.Body, p.End-p.Body)
	switch p.Encoding {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, &alphabet{r: r})
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	}
	return r
}

// alphabet is a reader that drops all characters that base64 does not have (RFC
// 2045, 6.8).
type alphabet struct{ r io.Reader }

func (a *alphabet) Read(b []byte) (int, error) {
	for {
		n, err := a.r.Read(b)
		kept := b[:0]
		for _, c := range b[:n] {
			if inAlphabet(c) {
				kept = append(kept, c)
			}
		}
		if len(kept) > 0 || err != nil {
			return len(kept), err
		}
	}
}

func inAlphabet(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '='
}
