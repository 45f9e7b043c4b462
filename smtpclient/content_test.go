package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

// sink is a connection that keeps what is written to it.
type sink struct {
	net.Conn // panics when anything else is asked of it
	bytes.Buffer
	writes int
	most   int // octets in one write
}

func (s *sink) Write(p []byte) (int, error) {
	s.writes++
	s.most = max(s.most, len(p))
	return s.Buffer.Write(p)
}

func (s *sink) Read(p []byte) (int, error)       { return s.Buffer.Read(p) }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

// asData returns what is sent for content. If vector is true, pieces are written
// without being copied.
func asData(t testing.TB, m Content, vector bool) string {
	s := &sink{}
	w := &wire{conn: s, raw: s, ctx: context.Background()}
	var c contentWriter
	c.reset(w, time.Minute)
	c.vector = vector
	if err := c.writeData(m); err != nil {
		t.Fatal(err)
	}
	return s.String()
}

// stream is Content that is not a *content.Content and writes small pieces.
type stream struct{ *strings.Reader }

func (s stream) WriteTo(w io.Writer) (int64, error) {
	b, _ := io.ReadAll(iotest.HalfReader(io.NewSectionReader(s.Reader, 0, s.Reader.Size())))
	n := int64(0)
	for i := range b {
		k, err := w.Write(b[i : i+1 : i+1])
		n += int64(k)
		if err != nil {
			return n, err
		}
		b[i] = 'X' // a writer must not keep what it was given
	}
	return n, nil
}

var contents = []struct{ name, in, want string }{
	{"plain", "a\r\nb\r\n", "a\r\nb\r\n.\r\n"},
	{"empty", "", ".\r\n"},
	{"no line end", "a", "a\r\n.\r\n"},
	{"dot", ".\r\n", "..\r\n.\r\n"},
	{"dots", "..\r\n.a\r\nb.\r\n.", "...\r\n..a\r\nb.\r\n..\r\n.\r\n"},
	{"a dot alone is no end", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"},
	{"blank lines", "\r\n\r\n.\r\n\r\n", "\r\n\r\n..\r\n\r\n.\r\n"},
	{"bare LF", "a\n.\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"},
	{"bare LF smuggling", "a\n.\r\nMAIL FROM:<x>\r\n", "a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n"},
	{"bare CR", "a\r.\rb\r\n", "a . b\r\n.\r\n"},
	{"bare CR before CRLF", "a\r\r\n.\r\n", "a \r\n..\r\n.\r\n"},
	{"CR at the end", "a\r", "a \r\n.\r\n"},
	{"LF at the start", "\na\r\n", "\r\na\r\n.\r\n"},
	{"8-bit and NUL", "\xff\x00\r\n", "\xff\x00\r\n.\r\n"},
}

func TestContent(t *testing.T) {
	for _, tt := range contents {
		t.Run(tt.name, func(t *testing.T) {
			half := len(tt.in) / 2
			for name, m := range map[string]Content{
				"memory": content.Of([]byte(tt.in)),
				"parts":  content.Of([]byte(tt.in[:half]), []byte(tt.in[half:])),
				"file":   content.Section(strings.NewReader(tt.in), 0, int64(len(tt.in))),
				"stream": stream{strings.NewReader(tt.in)},
			} {
				for _, vector := range []bool{true, false} {
					if got := asData(t, m, vector); got != tt.want {
						t.Errorf("%s, vector %v: %q, want %q", name, vector, got, tt.want)
					}
				}
			}
		})
	}
}

// For any division into pieces, the host receives the content unchanged, and no
// earlier end of data.
func FuzzContent(f *testing.F) {
	for _, tt := range contents {
		f.Add([]byte(tt.in), 1)
	}
	f.Add(bytes.Repeat([]byte(".\r\n"), 10000), 77)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		var parts [][]byte
		for rest := in; len(rest) > 0; {
			n := min(len(rest), max(1, cut%4096))
			parts = append(parts, rest[:n])
			rest = rest[n:]
		}
		got := asData(t, content.Of(parts...), true)
		if whole := asData(t, content.Of(in), false); got != whole {
			t.Fatalf("in pieces %q, whole %q", got, whole)
		}
		body, ok := strings.CutSuffix("\r\n"+got, "\r\n.\r\n")
		if !ok {
			t.Fatalf("%q does not end in a final dot", got)
		}
		if strings.Contains(body+"\r\n", "\r\n.\r\n") {
			t.Fatalf("%q has an earlier end of data", got)
		}
		if strings.Count(got, "\r") != strings.Count(got, "\r\n") || strings.Count(got, "\n") != strings.Count(got, "\r\n") {
			t.Fatalf("%q has a bare CR or LF", got)
		}
		if content.Canonical(in) {
			back := strings.TrimPrefix(strings.ReplaceAll(body, "\r\n.", "\r\n"), "\r\n")
			if want := strings.TrimSuffix(string(in), "\r\n"); back != want {
				t.Fatalf("came back as %q, want %q", back, want)
			}
		}
	})
}

// Content in memory is sent in few writes, and each write is limited.
func TestContentWrites(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef0123456789abcd\r\n"), 32<<10) // 1 MiB
	for vector, want := range map[bool]int{false: 1<<20/maxBlock + 1, true: 1<<20/maxVector + 1} {
		s := &sink{}
		w := &wire{conn: s, raw: s, ctx: context.Background()}
		var c contentWriter
		c.reset(w, time.Minute)
		c.vector = vector
		if err := c.writeData(content.Of(large)); err != nil {
			t.Fatal(err)
		}
		if s.writes != want || s.most > maxVector {
			t.Errorf("vector %v: %d writes of up to %d octets, want %d writes", vector, s.writes, s.most, want)
		}
		if got := s.String(); got != string(large)+".\r\n" {
			t.Errorf("vector %v: the content was changed", vector)
		}
	}
}

// If content is longer than its size, the rest is not sent: with BDAT it would be
// read as commands, with DATA as part of the message.
func TestContentLongerThanItsSize(t *testing.T) {
	for _, vector := range []bool{true, false} {
		for name, write := range map[string]func(*contentWriter, Content) error{
			"BDAT": func(c *contentWriter, m Content) error { return c.writeRaw(m, 0, true) },
			"DATA": (*contentWriter).writeData,
		} {
			s := &sink{}
			var c contentWriter
			c.reset(&wire{conn: s, raw: s, ctx: context.Background()}, time.Minute)
			c.vector = vector
			err := write(&c, long{content.Of([]byte("x\r\n"))})
			if got := s.String(); !errors.Is(err, errContent) || strings.Contains(got, "RCPT") || strings.HasSuffix(got, ".\r\n") {
				t.Errorf("%s, vector %v: %q went out, %v", name, vector, got, err)
			}
		}
	}
}

// long is content that writes more than its size, in two pieces.
type long struct{ Content }

func (l long) WriteTo(w io.Writer) (int64, error) {
	n, err := l.Content.WriteTo(w)
	if err == nil {
		_, err = io.WriteString(w, "RCPT TO:<mallory@example.net>\r\n")
	}
	return n, err
}
