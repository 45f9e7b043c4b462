package dkim

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
)

// section contains only the signature and the signed fields. In the relaxed form
// each is one line.
func TestSection(t *testing.T) {
	top, a, b := []byte("S: 1;\r\n\tb=\r\n"), []byte("A: x\r\n y\r\n"), []byte("B:\t\r\n  z \r\n")
	for _, c := range []struct {
		form dkimsig.Canon
		want string
	}{
		{dkimsig.Simple, "S: 1;\r\n\tb=\r\nB:\t\r\n  z \r\nA: x\r\n y\r\n\r\n"},
		{dkimsig.Relaxed, "S: 1;  \tb=\r\nB:\t    z \r\nA: x   y\r\n\r\n"},
	} {
		got := section(top, [][]byte{a, b}, c.form)
		if string(got) != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// holding measures the cost of a body for go-msgauth in the simple form: with each
// piece it copies the line ends that it keeps.
type holding struct{ held, copied, max int }

func (h *holding) Write(p []byte) (int, error) {
	h.copied += h.held + len(p)
	if text := bytes.TrimRight(p, "\r\n"); len(text) > 0 {
		h.held = len(p) - len(text)
	} else {
		h.held += len(p)
	}
	h.max = max(h.max, h.held)
	return len(p), nil
}

// Even the worst bodies are copied only a few times, and little of them is kept.
// Without the limit the cost is much higher.
func TestBodyWork(t *testing.T) {
	run := strings.Repeat("\r\n", maxBlank/2-1)
	for name, text := range map[string]string{
		"runs":       strings.Repeat(run+"x", 8<<20/len(run)),
		"short runs": strings.Repeat(strings.Repeat("\r\n", 2000)+"x", 2000),
		"text":       strings.Repeat("0123456789 abcdefghijk\r\n", 300_000),
	} {
		one, several, bare := new(holding), new(holding), new(holding)
		if _, err := io.Copy(one, newBody(strings.NewReader(text))); err != nil {
			t.Fatal(err)
		}
		// A pipe splits the pieces at 32 KiB.
		if _, err := io.Copy(several, struct{ io.Reader }{newBody(strings.NewReader(text))}); err != nil {
			t.Fatal(err)
		}
		if one.copied != len(text) || several.copied > 4*len(text) {
			t.Errorf("%s: of %d octets %d are copied, %d behind a pipe", name, len(text), one.copied, several.copied)
		}
		if one.max > maxBlank || several.max > maxBlank {
			t.Errorf("%s: %d and %d octets are held", name, one.max, several.max)
		}
		if _, err := io.Copy(bare, iotest.OneByteReader(strings.NewReader(text[:min(len(text), 200_000)]))); err != nil {
			t.Fatal(err)
		}
		if name == "runs" && bare.copied < 1000*200_000 {
			t.Errorf("%s: the model copies %d octets, not the square", name, bare.copied)
		}
	}
}

// checkPieces checks that a body is returned unchanged, and that only its last
// piece ends in white space.
func checkPieces(t *testing.T, text string, first int, wrap func(io.Reader) io.Reader) {
	t.Helper()
	blank := func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }
	tooMuch := slices.ContainsFunc(strings.FieldsFunc(text, func(r rune) bool { return !blank(r) }), func(run string) bool { return len(run) >= maxBlank })
	var pieces []string
	b := newBodySize(wrap(strings.NewReader(text)), first)
	var err error
	for {
		var p []byte
		if p, err = b.next(); err != nil {
			break
		}
		pieces = append(pieces, string(p))
	}
	var limit limitError
	if errors.As(err, &limit) != tooMuch || !tooMuch && err != io.EOF {
		t.Fatalf("%d octets: %v", len(text), err)
	}
	got := strings.Join(pieces, "")
	if !tooMuch && got != text || !strings.HasPrefix(text, got) {
		t.Errorf("%.100q came out as %.100q", text, got)
	}
	if !tooMuch {
		pieces = pieces[:len(pieces)-1]
	}
	for _, p := range pieces {
		if p == "" || strings.ContainsAny(p[len(p)-1:], " \t\r\n") || len(p) > maxBlank {
			t.Errorf("a piece of %d octets, %.40q", len(p), p)
		}
	}
	again, err := io.ReadAll(struct{ io.Reader }{newBodySize(wrap(strings.NewReader(text)), first)})
	if string(again) != got || errors.As(err, &limit) != tooMuch {
		t.Errorf("Read gives %d octets, %v; next %d", len(again), err, len(got))
	}
}

func TestBodyInPieces(t *testing.T) {
	blank := strings.Repeat("\r\n \t", maxBlank/4)
	for _, text := range []string{
		"", "x", "\r\n", " ", "x\r\n\r\n", "\r\n\r\nx", "a b\r\nc \r\n", "a\r", "\n\rx\n", strings.Repeat("word ", 50_000), strings.Repeat("x", 200_000),
		blank, blank[1:], "x" + blank, "x" + blank[1:] + "x", blank + "x", "x" + blank + blank + "x", blank[1:] + "y" + blank[1:],
		strings.Repeat("x", 70_000) + blank[1:] + "x", strings.Repeat("x", 70_000) + blank + "x",
	} {
		for _, first := range []int{1, 2, 8 << 10, maxBlank} {
			checkPieces(t, text, first, func(r io.Reader) io.Reader { return r })
			checkPieces(t, text, first, iotest.HalfReader)
			checkPieces(t, text, first, iotest.DataErrReader)
		}
	}
}

func FuzzBody(f *testing.F) {
	f.Add("a \r\n\r\n b\r\n", uint16(3))
	f.Add(" \r\n", uint16(30_000))
	f.Add("\r\nx", uint16(9))
	f.Fuzz(func(t *testing.T, text string, times uint16) {
		if len(text)*int(times) > 1<<20 {
			return
		}
		checkPieces(t, strings.Repeat(text, int(times)), 1, func(r io.Reader) io.Reader { return r })
	})
}
