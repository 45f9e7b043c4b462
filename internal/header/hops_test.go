package header_test

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

func TestHops(t *testing.T) {
	const (
		hop  = "Received: from a.example by b.example; Sat, 28 Nov 2026 11:00:00 +0000\r\n"
		ours = "Received: from b.example (by x.example)\r\n\tBY Relay.Example.com with ESMTP id 1;\r\n\tSat, 28 Nov 2026 11:00:00 +0000\r\n"
	)
	long := "X-Long: " + strings.Repeat("x", 40<<10) + "\r\n"
	for _, tt := range []struct {
		name, text string
		want       int
	}{
		{"empty", "", 0},
		{"none", "Subject: x\r\n\r\n" + hop, 0},
		{"three", hop + "Subject: x\r\n" + hop + hop + "\r\n" + hop, 3},
		{"bare LF", strings.ReplaceAll(hop+hop+"\r\n"+hop, "\r\n", "\n"), 2},
		{"case and blanks", "RECEIVED : by a.example\r\nreceived:by b.example\r\n\r\n", 2},
		{"folded", "Received: from a\r\n\tReceived: by b\r\n\r\n", 1},
		{"another field", "X-Received: by a\r\nReceived-SPF: pass\r\nReceived\r\n\r\n", 0},
		{"after a line that is no field", hop + "no field\r\n" + hop + "\r\n", 1},
		{"no line end", hop + "Received: by c.example", 2},
		{"after a long line", hop + long + hop + long + hop + "\r\n", 3},
		{"in a long line", "X: " + strings.Repeat(strings.TrimSuffix(hop, "\r\n"), 1000) + "\r\n" + hop, 1},
		{"our own at the top", ours + hop + hop + "\r\n", 2},
		{"our own, twice", ours + ours + "\r\n", 1},
		{"our own below another", hop + ours + "\r\n", 2},
		{"our own after other fields", "Subject: x\r\n" + ours + hop + "\r\n", 1},
		{"our own behind a long line", long + ours + hop + "\r\n", 1},
		{"our own is all there is", ours, 0},
	} {
		got, err := header.Hops(strings.NewReader(tt.text), int64(len(tt.text)), "relay.example.com")
		if err != nil || got != tt.want {
			t.Errorf("%s: %d, %v; want %d", tt.name, got, err, tt.want)
		}
		// All finds the same number of fields.
		n := 0
		for f := range header.All(header.Of([]byte(tt.text), false)) {
			if f.Is("Received") {
				n++
			}
		}
		if none, _ := header.Hops(strings.NewReader(tt.text), int64(len(tt.text)), ""); none != n {
			t.Errorf("%s: Hops counts %d fields, All has %d", tt.name, none, n)
		}
	}
}

func TestBy(t *testing.T) {
	for value, want := range map[string]string{
		"from a (b [192.0.2.1]) by c.example with SMTP id 1; date": "c.example",
		"by c.example; date":                  "c.example",
		"from by.example (by x) BY c.example": "c.example",
		"from a":                              "",
		"":                                    "",
		"from a (( by x.example":              "",
		"from a by":                           "",
	} {
		if got := header.By(value); got != want {
			t.Errorf("By(%q) = %q, want %q", value, got, want)
		}
	}
}

// Hops and All count the same fields.
func FuzzHops(f *testing.F) {
	for _, s := range []string{"Received: by a\r\nReceived: by b\r\n\r\nReceived: x\r\n", "Received : by a\n x\nno field\nReceived: by b\n", "From x\nReceived:", "\r\n", " Received: x\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := 0
		for f := range header.All(header.Of([]byte(s), false)) {
			if f.Is("Received") {
				want++
			}
		}
		got, err := header.Hops(strings.NewReader(s), int64(len(s)), "")
		if err != nil || got != want {
			t.Fatalf("%q: %d, %v; want %d", s, got, err, want)
		}
	})
}
