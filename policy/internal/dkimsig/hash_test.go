package dkimsig

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The example of RFC 6376, 3.4.5.
func TestCanonicalForms(t *testing.T) {
	fields := [][]byte{[]byte("A: X\r\n"), []byte("B : Y\t\r\n\tZ  \r\n")}
	const body = " C \r\nD \t E\r\n\r\n\r\n"
	for _, c := range []struct {
		canon        Canon
		header, body string
	}{
		{Simple, "A: X\r\nB : Y\t\r\n\tZ  \r\n", " C \r\nD \t E\r\n"},
		{Relaxed, "a:X\r\nb:Y Z\r\n", " C\r\nD E\r\n"},
	} {
		var header []byte
		for _, f := range fields {
			header = c.canon.appendField(header, f)
		}
		if string(header) != c.header {
			t.Errorf("%v header %q", c.canon, header)
		}
		if got := canonical(c.canon, body); got != c.body {
			t.Errorf("%v body by the reference %q", c.canon, got)
		}
		checkBody(t, c.canon, body, 3)
	}
	for field, want := range map[string]string{
		"SUBJect:AbC\r\n": "subject:AbC\r\n", "X:\r\n": "x:\r\n", "X: \r\n \r\n": "x:\r\n", "no colon\r\n": "no colon:\r\n", "x:\ta\r\n\t\r\n b": "x:a b\r\n",
	} {
		if got := string(Relaxed.appendField(nil, []byte(field))); got != want {
			t.Errorf("%q: %q, want %q", field, got, want)
		}
	}
}

// canonical returns the canonical form as RFC 6376 describes it, for comparison.
func canonical(c Canon, body string) string {
	if c == Relaxed {
		body = regexp.MustCompile(`[ \t]+`).ReplaceAllString(body, " ")
		body = regexp.MustCompile(` (\r\n|$)`).ReplaceAllString(body, "$1")
	}
	for strings.HasSuffix(body, "\r\n") {
		body = strings.TrimSuffix(body, "\r\n")
	}
	if c == Relaxed && body == "" {
		return ""
	}
	return body + "\r\n"
}

// checkBody compares the hash of a body in pieces with the reference.
func checkBody(t *testing.T, c Canon, body string, piece int) {
	t.Helper()
	want := sha256.Sum256([]byte(canonical(c, body)))
	h := NewBodyHash(c)
	for rest := []byte(body); len(rest) > 0; {
		n := min(piece, len(rest))
		h.Write(bytes.Clone(rest[:n]))
		rest = rest[n:]
	}
	if !bytes.Equal(h.Sum(), want[:]) {
		t.Errorf("form %v of %q in pieces of %d", c, body, piece)
	}
}

func TestBodyInPieces(t *testing.T) {
	for _, body := range []string{
		"", "\r\n", "\r\n\r\n", " ", " \r\n", "\t \r\n \r\n", "a", "a\r\n", "a\r\n\r\n", "a \r\n\t\r\n", "\r\n\r\na", " a", "a b  c\t\td",
		"a\rb", "a\r", "\r", "\r\r\n", "a\nb", "a \r b", "\n", "\r\n\ra", "a\r\n \r\nb \r\n\r\n", strings.Repeat("\r\n", 2000) + "x", strings.Repeat("long  line ", 2000),
		// Around the pieces that are examined for the relaxed form.
		strings.Repeat("x", maxPiece-1) + "\r\nx", strings.Repeat("x", maxPiece-1) + "\rx", strings.Repeat("x", maxPiece-1) + " \t x", strings.Repeat("x y\r\n", maxPiece) + " \r\n", strings.Repeat(" ", maxPiece) + "\r\nx",
	} {
		for _, piece := range []int{1, 2, 3, 7, 4096, 1 << 20} {
			checkBody(t, Simple, body, piece)
			checkBody(t, Relaxed, body, piece)
		}
	}
}

func FuzzBodyHash(f *testing.F) {
	f.Add("a \r\n\r\n b\r\n", 2)
	f.Add("\r\n\r \t\n\r\n", 1)
	f.Fuzz(func(t *testing.T, body string, piece int) {
		if piece < 1 || len(body) > 5000 {
			return
		}
		checkBody(t, Simple, body, piece)
		checkBody(t, Relaxed, body, piece)
	})
}

// Fields are hashed in canonical form. The signature field is last, without its
// line end.
func TestHeaderHash(t *testing.T) {
	h := NewHeaderHash(Relaxed)
	h.AddAll([][]byte{[]byte("A: 1\r\n"), []byte("b :  2\r\n 3\r\n")})
	want := sha256.Sum256([]byte("a:1\r\nb:2 3\r\nsig:b="))
	if !bytes.Equal(h.Sum([]byte("Sig: b=\r\n")), want[:]) {
		t.Error("another sum")
	}
}

func TestWithoutValue(t *testing.T) {
	field := []byte("Sig: a=1; b= x\r\n y ; c=2\r\n")
	body := FieldBody(field)
	start := strings.Index(body, "b=") + 2
	if got := string(WithoutValue(field, start, strings.Index(body, "; c"))); got != "Sig: a=1; b=; c=2\r\n" {
		t.Errorf("%q", got)
	}
}

func TestFieldWriter(t *testing.T) {
	w := NewFieldWriter("X-Signature")
	w.Tag("v", "1")
	w.List("h", slices.Repeat([]string{"received"}, 30))
	w.Tag("long", strings.Repeat("y", 100))
	unsigned := string(w.Unsigned())
	signed := w.Signed(strings.Repeat("A", 400))
	if !strings.HasSuffix(unsigned, "b=\r\n") || !strings.HasPrefix(signed, strings.TrimSuffix(unsigned, "\r\n")) {
		t.Errorf("unsigned %q, signed %q", unsigned, signed)
	}
	for i, line := range strings.Split(strings.TrimSuffix(signed, "\r\n"), "\r\n") {
		if columns := len(strings.ReplaceAll(line, "\t", "        ")); columns > 78 && !strings.Contains(line, "long=") || i > 0 && line[0] != '\t' {
			t.Errorf("line %q of %d columns", line, columns)
		}
	}
}

// A signature is valid only for its key, algorithm and hash.
func TestSignAndVerify(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sum, other := sha256.Sum256([]byte("x")), sha256.Sum256([]byte("y"))
	for _, private := range []crypto.Signer{ed, r} {
		record, err := Record(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		k, err := ParseKey(record)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := Sign(private, sum[:])
		if err != nil || Verify(k, k.Algorithm(), sum[:], sig) != nil {
			t.Errorf("%s: %x, %v", k.Algorithm(), sig, err)
		}
		if Verify(k, "rsa-sha1", sum[:], sig) == nil || Verify(k, k.Algorithm(), other[:], sig) == nil || Verify(k, k.Algorithm(), sum[:], sig[:10]) == nil {
			t.Errorf("%s: a signature that is none is good", k.Algorithm())
		}
	}
}
