package header_test

import (
	"io"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

func TestEightBit(t *testing.T) {
	for in, want := range map[string]bool{
		"Subject: x\r\n\r\nx\r\n":          false,
		"Subject: x\r\n\r\n\xfc\r\n":       false,
		"Subject: \xfc\r\n\r\nx\r\n":       true,
		"Subject: x\r\n \xfc\r\n\r\nx\r\n": true,
		"Subject: x\n\n\xfc\n":             false,
		"Subject: x\r\n\xfc\r\n":           false, // not a field: body
		"\r\n\xfc\r\n\r\n":                 false,
		"Subject: \xfc":                    true,
		"Subject: x":                       false,
		"":                                 false,
		"\xfc":                             false,
		"From \xfc\r\nSubject: x\r\n\r\n":  true,
		"X: " + strings.Repeat("x", 5000) + "\xfc\r\n\r\n": true,
	} {
		for name, m := range map[string]io.WriterTo{"memory": content.Of([]byte(in)), "in pieces": pieces(in)} {
			if got := header.EightBit(m); got != want {
				t.Errorf("%s: EightBit(%.40q) = %v", name, in, got)
			}
		}
	}
}

// pieces writes a string byte by byte.
type pieces string

func (p pieces) WriteTo(w io.Writer) (n int64, err error) {
	for i := range len(p) {
		if _, err := io.WriteString(w, string(p[i:i+1])); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
