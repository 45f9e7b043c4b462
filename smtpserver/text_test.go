package smtpserver

import (
	"bytes"
	"testing"
)

func TestIndexControl(t *testing.T) {
	for size := range 40 {
		p := bytes.Repeat([]byte{0xff}, size)
		if got := indexControl(p); got != -1 {
			t.Errorf("%d bytes without: %d", size, got)
		}
		for i := range p {
			for _, c := range []byte{0, '\t', '\n', '\r', 0x1f} {
				q := bytes.Repeat([]byte{' '}, size)
				q[size-1] = '\r'
				q[i] = c
				if got := indexControl(q); got != i {
					t.Errorf("%q at %d of %d: %d", c, i, size, got)
				}
			}
		}
	}
}

// FuzzText compares textReader with a simple reader that reads one byte at a
// time. Both must return the same text, the same end and the same result,
// however the input is split.
func FuzzText(f *testing.F) {
	for _, s := range []string{
		"", ".\r\n", "a\r\n.\r\n", "..\r\n.\r\n", "a\nb\r\n.\r\n", "\r\r\n.\r\n", "a\r\n.\r\r\n.\r\nQUIT\r\n",
		"\x00\r\n.\r\n", "long long long line of text\r\n.x\r\n.\r\nMAIL", "\n.\n\r.\r\r\n.\n.\r\n",
	} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, p []byte, cut uint8) {
		wantText, wantRest, wantBare, wantEnd := plainText(p)
		for _, fix := range []bool{false, true} {
			r := textReader{dots: true, maxLine: noLimitInt, fix: fix}
			var got collected
			rest, end := p, false
			for len(rest) > 0 && !end {
				k := min(len(rest), int(cut)+1)
				var n int
				n, end = r.read(rest[:k], &got)
				if !end && n != k {
					t.Fatalf("took %d of %d without an end", n, k)
				}
				rest = rest[n:]
			}
			if end != wantEnd || end && !bytes.Equal(rest, wantRest) {
				t.Fatalf("%q: end %v, rest %q; want %v, %q", p, end, rest, wantEnd, wantRest)
			}
			if fix {
				noBare(t, p, got)
				continue
			}
			if r.hasBare != wantBare {
				t.Fatalf("%q: bare %v, want %v", p, r.hasBare, wantBare)
			}
			if end && !wantBare && !bytes.Equal(got, wantText) {
				t.Fatalf("%q: text %q, want %q", p, got, wantText)
			}
		}
	})
}

type collected []byte

func (c *collected) put(p []byte) { *c = append(*c, p...) }

// noBare: normalized text contains no bare CR, LF or NUL.
func noBare(t *testing.T, in, text []byte) {
	if n := bytes.Count(text, crlf); bytes.Count(text, []byte("\r")) != n || bytes.Count(text, []byte("\n")) != n || bytes.IndexByte(text, 0) >= 0 {
		t.Fatalf("%q normalized is %q", in, text)
	}
}

// plainText does the same as textReader in the simplest way.
func plainText(p []byte) (text, rest []byte, bare, end bool) {
	// A CRLF is put before the text, so that every line starts after a CRLF.
	i := bytes.Index(append([]byte("\r\n"), p...), []byte("\r\n.\r\n"))
	if end = i >= 0; end {
		p, rest = p[:i], p[i+3:]
	}
	text = append([]byte("\r\n"), p...)
	if !end {
		p = bytes.TrimSuffix(p, []byte("\r")) // its LF may come yet
	}
	text = bytes.ReplaceAll(text, []byte("\r\n."), []byte("\r\n"))[2:]
	noCRLF := bytes.ReplaceAll(p, crlf, nil)
	return text, rest, bytes.ContainsAny(noCRLF, "\r\n\x00"), end
}

// FuzzBareLF compares readBareLF with a simple reader that reads line by line.
// Both must return the same text, the same end and the same result, however the
// input is split. Both stop at the first CRLF.
func FuzzBareLF(f *testing.F) {
	for _, s := range []string{
		"", ".\n", "a\n.\n", "..\n.\nQUIT\n", "a\n.\r\n.\n", ".\r\n.\n\r\n.\r\n", "a\r\n.\n.\r\n", "a\rb\n\r.\n", "a\x00\n.\n", "\r\r\n.\r\n",
	} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, p []byte, cut uint8) {
		want := plainBareLF(p)
		for _, fix := range []bool{false, true} {
			lf := true
			r := textReader{dots: true, maxLine: noLimitInt, fix: fix, bareLF: &lf}
			var got collected
			rest, end := p, false
			for len(rest) > 0 && !end {
				k := min(len(rest), int(cut)+1)
				var n int
				n, end = r.read(rest[:k], &got)
				if !end && n != k {
					t.Fatalf("took %d of %d without an end", n, k)
				}
				rest = rest[n:]
			}
			if end != want.end || end && !bytes.Equal(rest, want.rest) || lf != want.lf {
				t.Fatalf("%q: end %v, rest %q, bare LF %v; want %v, %q, %v", p, end, rest, lf, want.end, want.rest, want.lf)
			}
			if fix {
				noBare(t, p, got)
				continue
			}
			if r.hasBare != want.bare {
				t.Fatalf("%q: bare %v, want %v", p, r.hasBare, want.bare)
			}
			if end && !want.bare && !bytes.Equal(got, want.text) {
				t.Fatalf("%q: text %q, want %q", p, got, want.text)
			}
		}
	})
}

type plainResult struct {
	text, rest    []byte
	bare, end, lf bool // lf: no CRLF yet
}

// plainBareLF does the same as readBareLF in the simplest way.
func plainBareLF(p []byte) (r plainResult) {
	for sawLF := false; ; sawLF = true {
		line, after, whole := bytes.Cut(p, []byte{'\n'})
		text := line
		if len(text) > 0 && text[0] == '.' {
			text = text[1:]
		}
		switch {
		case !whole:
			line = bytes.TrimSuffix(line, []byte("\r")) // its LF may come yet
			r.bare = r.bare || bytes.ContainsAny(line, "\r\x00")
			r.lf = true
			return r
		case bytes.HasSuffix(line, []byte("\r")):
			first := string(line) == ".\r"
			text, rest, bare, end := plainText(after)
			r.bare = r.bare || sawLF || first || bare || bytes.ContainsAny(line[:len(line)-1], "\r\x00")
			line = bytes.TrimPrefix(line, []byte("."))
			r.text, r.rest, r.end = append(append(append(r.text, line...), '\n'), text...), rest, end
			return r
		case string(line) == ".":
			r.rest, r.end, r.lf = after, true, true
			return r
		}
		r.bare = r.bare || bytes.ContainsAny(line, "\r\x00")
		r.text = append(append(r.text, text...), '\r', '\n')
		p = after
	}
}
