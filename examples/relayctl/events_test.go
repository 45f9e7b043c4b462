package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestReadEvents(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
		err      error
	}{
		{"one", "event: line\ndata: {\"a\":1}\n\n", []string{`line {"a":1}`}, nil},
		{"two", "event: a\ndata: 1\n\ndata: 2\n\n", []string{"a 1", " 2"}, nil},
		{"comments", ": keep the connection\n\n:\ndata:x\n\n", []string{" x"}, nil},
		{"lines", "data: a\ndata: b\ndata\n\n", []string{" a\nb\n"}, nil},
		{"CRLF", "event: a\r\ndata: 1\r\n\r\n", []string{"a 1"}, nil},
		{"other fields", "id: 7\nretry: 100\ndata: 1\n\n", []string{" 1"}, nil},
		{"not complete", "data: 1\n", nil, nil},
		{"long line", "data: " + strings.Repeat("x", maxEvent) + "\n\n", nil, errLongEvent},
		{"long event", strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", maxEvent/1000) + "\n", nil, errLongEvent},
	} {
		var got []string
		err := readEvents(strings.NewReader(c.in), func(name string, data document) error {
			got = append(got, name+" "+string(data))
			return nil
		})
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v, want %q, %v", c.name, got, err, c.want, c.err)
		}
	}
	stop := errors.New("stop")
	if err := readEvents(strings.NewReader("data: 1\n\ndata: 2\n\n"), func(string, document) error { return stop }); err != stop {
		t.Errorf("the error is %v, want %v", err, stop)
	}
}

// Events do not depend on how the stream is cut into reads, and have no line ends
// that the sender did not send.
func FuzzReadEvents(f *testing.F) {
	for _, s := range []string{"", "event: a\ndata: 1\n\n", "data\n\n", ":\n\ndata: x\r\n\r\n", "data: a\ndata: b\n\n"} {
		f.Add([]byte(s))
	}
	read := func(r io.Reader) string {
		var b bytes.Buffer
		err := readEvents(r, func(name string, data document) error {
			fmt.Fprintf(&b, "%q %q\n", name, data)
			return nil
		})
		fmt.Fprint(&b, err)
		return b.String()
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, single := read(bytes.NewReader(in)), read(&oneByte{in})
		if whole != single {
			t.Errorf("%q: %s, by single bytes: %s", in, whole, single)
		}
	})
}

// A oneByte returns one byte for each Read.
type oneByte struct{ left []byte }

func (r *oneByte) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:1], r.left)
	r.left = r.left[n:]
	return n, nil
}
