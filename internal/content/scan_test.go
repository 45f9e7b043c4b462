package content_test

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

func TestScan(t *testing.T) {
	for _, tt := range []struct {
		in   string
		body bool
	}{
		{"Subject: x\r\n\r\nx\r\n", false},
		{"Subject: x\r\n\r\n\xfc\r\n", true},
		{"Subject: \xfc\r\n\r\nx\r\n", true},
		{"Subject: x", false},
		{"", false},
	} {
		for name, m := range map[string]io.WriterTo{"memory": content.Of([]byte(tt.in)), "in pieces": pieces(tt.in)} {
			if got := content.EightBit(m); got != tt.body {
				t.Errorf("%s: EightBit(%q) = %v", name, tt.in, got)
			}
		}
	}
}

// DATA can transport text unchanged, but not binary content.
func TestIsText(t *testing.T) {
	for in, want := range map[string]bool{
		"":                                true,
		"a\r\nb":                          true,
		"\xff\r\n":                        true,
		"a\nb\r\n":                        false,
		"a\rb\r\n":                        false,
		"a\r":                             false,
		"a\r\r\n":                         false,
		"\n":                              false,
		"a\x00\r\n":                       false,
		strings.Repeat("x", 998) + "\r\n": true,
		strings.Repeat("x", 999):          false,
	} {
		for name, m := range map[string]io.WriterTo{"memory": content.Of([]byte(in)), "in pieces": pieces(in)} {
			if got := content.IsText(m); got != want {
				t.Errorf("%s: IsText(%.20q) = %v", name, in, got)
			}
		}
	}
}

// pieces returns a Content that writes each byte on its own.
func pieces(s string) io.WriterTo { return content.Of(slices.Collect(slices.Chunk([]byte(s), 1))...) }
