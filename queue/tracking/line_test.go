package tracking

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"
)

// A line reads back as it was written, whatever its columns contain.
func FuzzField(f *testing.F) {
	for _, s := range []string{"", "bob@example.net", "Lunch, perhaps", `"Lunch"`, " led by a space", "\u2003and by another", `\.`, `\x`,
		"two\r\nlines", "\x00\x7f\u0085\u2028\u202e", "Mahlzeit, jörg", "\xff\xfe", "\ttab", "=HYPERLINK(\"x\")", strings.Repeat("ä", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := record{dateTime: "2026-11-21T12:00:00.000Z", messageSubject: s, senderAddress: s, directionality: "Incoming"}
		line := r.append(nil)
		if bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("%q: %q", s, line)
		}
		fields, err := csv.NewReader(bytes.NewReader(line)).Read()
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		e, err := entry(fields, 1)
		if err != nil || len(s) <= maxField && (e.Columns["message-subject"] != s || e.Sender != s) || e.Columns["directionality"] != "Incoming" {
			t.Fatalf("%q reads back as %q, %v", s, e.Columns["message-subject"], err)
		}
	})
}

func TestAddresses(t *testing.T) {
	for s, want := range map[string][]string{
		"":                      nil,
		"a@b":                   {"a@b"},
		"a@b;c@d":               {"a@b", "c@d"},
		`"a;b"@c;d@e`:           {`"a;b"@c`, "d@e"},
		`"a\";b"@c;"x\\"@y;d@e`: {`"a\";b"@c`, `"x\\"@y`, "d@e"},
		`"never closed;a@b;c@d`: {`"never closed;a@b;c@d`},
		`back\slash@a;b@c`:      {`back\slash@a`, "b@c"},
	} {
		if got := addresses(s); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", s, got, want)
		}
	}
}
