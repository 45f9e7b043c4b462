package dkimsig

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"math"
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
			t.Errorf("%s header %q", c.canon, header)
		}
		if got := canonical(c.canon, body); got != c.body {
			t.Errorf("%s body by the reference %q", c.canon, got)
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

// canonical is the form as RFC 6376 describes it, for comparison.
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

// checkBody compares the streaming hash, fed in pieces, with the reference,
// whole and cut to every length up to some.
func checkBody(t *testing.T, c Canon, body string, piece int) {
	t.Helper()
	want := canonical(c, body)
	for _, limit := range []int64{-1, 0, 1, int64(len(want)) / 2, int64(len(want)), math.MaxInt64} {
		h := NewBodyHash(c, limit)
		for rest := []byte(body); len(rest) > 0; {
			n := min(piece, len(rest))
			h.Write(bytes.Clone(rest[:n]))
			rest = rest[n:]
		}
		sum, length := h.Sum()
		cut := want
		if limit >= 0 && limit < int64(len(want)) {
			cut = want[:limit]
		}
		if expected := sha256.Sum256([]byte(cut)); !bytes.Equal(sum, expected[:]) || length != int64(len(want)) {
			t.Errorf("%s of %q in pieces of %d, limit %d: length %d, want %q", c, body, piece, limit, length, want)
		}
	}
}

func TestBodyInPieces(t *testing.T) {
	for _, body := range []string{
		"", "\r\n", "\r\n\r\n", " ", " \r\n", "\t \r\n \r\n", "a", "a\r\n", "a\r\n\r\n", "a \r\n\t\r\n", "\r\n\r\na", " a", "a b  c\t\td",
		"a\rb", "a\r", "\r", "\r\r\n", "a\nb", "a \r b", "\n", "\r\n\ra", "a\r\n \r\nb \r\n\r\n", strings.Repeat("\r\n", 2000) + "x", strings.Repeat("long  line ", 2000),
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
		if piece < 1 || len(body) > 2000 {
			return
		}
		checkBody(t, Simple, body, piece)
		checkBody(t, Relaxed, body, piece)
	})
}

// Names choose fields from the bottom upwards, one for each time that they
// come; what is not there counts for nothing.
func TestAddNames(t *testing.T) {
	h := NewHeader([][]byte{[]byte("A: 1\r\n"), []byte("B: 2\r\n"), []byte("a : 3\r\n"), []byte("A: 4\r\n")})
	sum := func(names ...string) []byte {
		hh := NewHeaderHash(Relaxed)
		hh.AddNames(h, names)
		return hh.Sum([]byte("Sig: b=\r\n"))
	}
	want := func(text string) []byte {
		s := sha256.Sum256([]byte(text + "sig:b="))
		return s[:]
	}
	for _, c := range []struct {
		names []string
		want  string
	}{
		{[]string{"a"}, "a:4\r\n"},
		{[]string{"A", "b", "a"}, "a:4\r\nb:2\r\na:3\r\n"},
		{[]string{"a", "a", "a", "a", "x", "a"}, "a:4\r\na:3\r\na:1\r\n"},
		{nil, ""},
	} {
		if !bytes.Equal(sum(c.names...), want(c.want)) {
			t.Errorf("%v do not choose %q", c.names, c.want)
		}
	}
	if h.Count("a") != 3 || len(h.Named("b")) != 1 || h.Named("x") != nil || !IsNamed([]byte("a : x"), "a") || IsNamed([]byte("ab: x"), "a") {
		t.Error("fields are not found by name")
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

func TestPublishedKeysAreRead(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	record, err := Record(public)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey(record)
	if err != nil || k.Algorithm() != "ed25519-sha256" || k.Strict || k.Testing {
		t.Fatalf("%+v, %v", k, err)
	}
	sum := sha256.Sum256([]byte("x"))
	sig, err := Sign(private, sum[:])
	if err != nil || k.Verify("ed25519-sha256", sum[:], sig) != nil || k.Verify("rsa-sha256", sum[:], sig) == nil || k.Verify("ed25519-sha256", sum[:], sig[:10]) == nil {
		t.Errorf("%x, %v", sig, err)
	}
	if _, err := Record("no key"); err == nil {
		t.Error("a string was published as a key")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; t=s:y; h=sha256; s=email")
	f.Add("p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAOhaAZwPhAlLcy1zhaZUz9C+gG3Z7dwWTCzhinPkAMDLCrLeCMN8/u/+4sCtTgQk8HwxMsX3bqWlE2vigvdSpHUCAwEAAQ==")
	f.Fuzz(func(t *testing.T, record string) {
		k, err := ParseKey(record)
		if (err == nil) != (k != nil) || err == nil && k.Algorithm() == "" {
			t.Errorf("%+v, %v", k, err)
		}
		if err == nil {
			k.Verify(k.Algorithm(), make([]byte, 32), make([]byte, 256)) // must not panic
		}
	})
}
