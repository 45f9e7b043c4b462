package content

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// canonical is another implementation of AppendCanonical.
func canonical(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", " ")
	return strings.ReplaceAll(s, "\n", "\r\n")
}

func TestCanonicalReader(t *testing.T) {
	for in, want := range map[string]string{
		"":              "",
		"a\r\nb\r\n":    "a\r\nb\r\n",
		"a\nb\n":        "a\r\nb\r\n",
		"\n\n":          "\r\n\r\n",
		"a\rb":          "a b",
		"a\r":           "a ",
		"\r\r\n":        " \r\n",
		"\n\r":          "\r\n ",
		longLines("\n"): longLines("\r\n"),
	} {
		checkCanonical(t, in)
		if got := canonical(in); got != want {
			t.Errorf("%.20q: %.20q, want %.20q", in, got, want)
		}
		if Canonical([]byte(in)) != (in == want) {
			t.Errorf("%.20q: Canonical is %v", in, Canonical([]byte(in)))
		}
	}
}

func longLines(end string) string { return strings.Repeat(strings.Repeat("x", 1000)+end, 100) }

// checkCanonical reads s in pieces of different sizes.
func checkCanonical(t *testing.T, s string) {
	t.Helper()
	want := canonical(s)
	if got := string(AppendCanonical(nil, []byte(s))); got != want {
		t.Fatalf("%.60q: %.60q, want %.60q", s, got, want)
	}
	for name, r := range map[string]io.Reader{
		"whole":             NewCanonicalReader(strings.NewReader(s)),
		"octets in":         NewCanonicalReader(iotest.OneByteReader(strings.NewReader(s))),
		"octets out":        iotest.OneByteReader(NewCanonicalReader(strings.NewReader(s))),
		"data with its end": NewCanonicalReader(iotest.DataErrReader(strings.NewReader(s))),
	} {
		if got, err := io.ReadAll(r); err != nil || string(got) != want {
			t.Fatalf("%s: %.60q, %v, want %.60q", name, got, err, want)
		}
	}
}

func TestCanonicalReaderReturnsErrors(t *testing.T) {
	got, err := io.ReadAll(NewCanonicalReader(io.MultiReader(strings.NewReader("a\n\r"), iotest.ErrReader(io.ErrClosedPipe))))
	if string(got) != "a\r\n " || err != io.ErrClosedPipe {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzCanonicalReader(f *testing.F) {
	f.Add("a\r\nb\nc\rd\r\r\n\n\r")
	f.Fuzz(func(t *testing.T, s string) { checkCanonical(t, s) })
}
