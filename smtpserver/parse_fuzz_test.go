package smtpserver

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// FuzzCommand: a line that is taken for a command has a verb without blanks or
// lower case, an argument without control characters, and both of it are in
// the line.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{"", "NOOP", "mail FROM:<a@b>  SIZE=1 ", "\x00", "a\tb", "MAIL\tFROM:<a@b>\tAUTH=a=b", "BDAT 99999999999999999999 LAST", " x", "RCPT\x7f", "ÄÖ ü"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		orig := bytes.Clone(line)
		verb, arg, ok := splitCommand(line)
		if !ok {
			return
		}
		if bytes.ContainsAny(verb, " \tabcdefghijklmnopqrstuvwxyz") {
			t.Errorf("%q: verb %q", orig, verb)
		}
		if strings.ContainsAny(arg, "\r\n\x00") || strings.TrimLeft(arg, " \t") != arg {
			t.Errorf("%q: argument %q", orig, arg)
		}
		if !strings.Contains(string(orig), arg) {
			t.Errorf("%q: argument %q from elsewhere", orig, arg)
		}
		var seen []string
		e := parseParams(arg, func(key, value string) *paramError {
			if !validKeyword(key) || strings.ContainsAny(value, " \t") || strings.Contains(value, "=") && key != "AUTH" {
				t.Errorf("%q: parameter %q = %q", orig, key, value)
			}
			seen = append(seen, key)
			return nil
		})
		if e == nil && len(seen) > maxParams {
			t.Errorf("%q: %d parameters", orig, len(seen))
		}
		if size, _, ok := parseBDAT(arg); ok && size < 0 {
			t.Errorf("%q: BDAT %d", orig, size)
		}
	})
}

// FuzzProxy: a PROXY header is never longer than its input, and no error is
// returned while more input is needed.
func FuzzProxy(f *testing.F) {
	for _, s := range []string{
		"", "PROXY", "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\nEHLO", "PROXY UNKNOWN\r\n", "EHLO x\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x00\x19", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		src, _, n, err := parseProxy(b)
		if n < 0 || n > len(b) || err != nil && n > 0 || src.IsValid() && n == 0 {
			t.Fatalf("%q: %v, %d, %v", b, src, n, err)
		}
		if n == 0 && err == nil && len(b) > proxyV2Max+16 {
			t.Fatalf("%d bytes are not enough for a header", len(b))
		}
		if n > 0 { // what follows the header changes nothing
			src2, _, n2, err2 := parseProxy(append(bytes.Clone(b[:n]), "EHLO x\r\n"...))
			if src2 != src || n2 != n || err2 != nil {
				t.Fatalf("%q: %v, %d, %v with other bytes after it", b, src2, n2, err2)
			}
		}
	})
}

// FuzzHeader: header and body are the content with the repairs of its header;
// editing keeps it well-formed.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		"", "\r\n", "A: b\r\n\r\nbody", "A: b\r\n c\r\nB:\r\n\r\n", "no header\r\n\r\n", "A: b\r\nbroken\r\n\r\n", " folded\r\n", "A : b\r\n\r\n", "A: b", "a\x00b: c\r\n\r\n", ": x\r\n",
		"From x\r\nA: b\r\n\r\n", ">From x\r\n\r\n", "A\r\n : b\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := func(m *Message) []byte {
			b := make([]byte, m.Content().Size())
			m.Content().ReadAt(b, 0) // memory: no error but EOF
			return b
		}
		ins, err := header.Repairs(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		at := 0
		for _, i := range ins {
			want = append(append(want, b[at:i.At]...), i.Text...)
			at = i.At
		}
		want = append(want, b[at:]...)
		var m Message
		if err := m.SetContent(content.Of(b)); err != nil {
			t.Fatal(err)
		}
		if got := whole(&m); !bytes.Equal(got, want) {
			t.Fatalf("%q: %q, want %q", b, got, want)
		}
		n := len(m.Header.Fields())
		for _, fl := range m.Header.Fields() {
			if fl.Name() == "" || m.Header.Count(fl.Name()) == 0 {
				t.Errorf("%q: field %q", b, fl)
			}
		}
		if err := m.Header.Prepend("X-Test: 1\r\n 2\r\n"); err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("x-test") != "1 2" || len(m.Header.Fields()) != n+1 {
			t.Errorf("%q: after Prepend %q", b, m.Header.Fields())
		}
		var again Message
		if err := again.SetContent(m.Content()); err != nil || again.Header.Size() != m.Header.Size() || !bytes.Equal(whole(&again), whole(&m)) {
			t.Errorf("%q: edited %q, read again %q, %v", b, whole(&m), whole(&again), err)
		}
		if d := m.Header.Delete(func(f Field) bool { return f.Is("X-Test") }); d < 1 {
			t.Errorf("%q: %d deleted", b, d)
		}
	})
}
