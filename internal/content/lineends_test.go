package content

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

func TestCheckLineEnds(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"A: b\r\n\r\nx\r\n", ""},
		{"no line end", ""},
		{"A: b\r\n\r\nlast line without an end", ""},
		{"\r\n\r\n", ""},
		{"A: b\n\nx\n", "line 1 has a bare LF: lines must end with CRLF"},
		{"A: b\r\n\r\nx\ny\r\n", "line 3 has a bare LF: lines must end with CRLF"},
		{"\n", "line 1 has a bare LF: lines must end with CRLF"},
		{"A: b\r\n\r\nx\ry\r\n", "line 3 has a bare CR: lines must end with CRLF"},
		{"A: b\r\n\r\nx\r\r\n", "line 3 has a bare CR: lines must end with CRLF"},
		{"x\r", "line 1 has a bare CR: lines must end with CRLF"},
		{"x\r\n\r", "line 2 has a bare CR: lines must end with CRLF"},
		{"\r\rx", "line 1 has a bare CR: lines must end with CRLF"},
	} {
		// The result does not depend on how the text is divided into parts.
		for size := 1; size <= max(1, len(c.text)); size++ {
			var parts [][]byte
			for b := []byte(c.text); len(b) > 0; b = b[min(size, len(b)):] {
				parts = append(parts, b[:min(size, len(b))])
			}
			bare, err := CheckLineEnds(Of(parts...))
			if got := fmt.Sprint(bare); got != c.want && (bare != nil || c.want != "") || err != nil {
				t.Errorf("%q in parts of %d: got %v, %v, want %q", c.text, size, bare, err, c.want)
			}
		}
	}
}

func TestCheckLineEndsReportsReadErrors(t *testing.T) {
	broken := errors.New("broken disk")
	bare, err := CheckLineEnds(Section(failingReader{broken}, 0, 10))
	if bare != nil || !errors.Is(err, broken) {
		t.Errorf("got %v, %v, want the error of the reader", bare, err)
	}
}

type failingReader struct{ err error }

func (f failingReader) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// The check and Canonical answer the same question.
func FuzzCheckLineEnds(f *testing.F) {
	for _, s := range []string{"", "a\r\nb", "a\nb", "a\rb", "\r", "a\r\n\r"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = max(0, min(cut, len(b)))
		bare, err := CheckLineEnds(Of(b[:cut], b[cut:]))
		if (bare == nil) != Canonical(b) || err != nil {
			t.Errorf("%q cut at %d: %v, %v, but Canonical is %v", b, cut, bare, err, Canonical(b))
		}
	})
}

func TestCheckLineEndsIsLinear(t *testing.T) {
	check := func(s string) { CheckLineEnds(Of([]byte(s))) }
	doubling.Time(t, map[string]func(string){"CheckLineEnds": check}, []string{"some text\r\n", "\r\n", "x"})
}

func BenchmarkCheckLineEnds(b *testing.B) {
	c := Of([]byte(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 1000)))
	b.SetBytes(c.Size())
	for b.Loop() {
		if bare, err := CheckLineEnds(c); bare != nil || err != nil {
			b.Fatal(bare, err)
		}
	}
}
