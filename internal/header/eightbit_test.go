package header_test

import (
	"io"
	"slices"
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

// pieces returns a Content that writes each byte on its own.
func pieces(s string) io.WriterTo { return content.Of(slices.Collect(slices.Chunk([]byte(s), 1))...) }
