package tracking

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
)

// A field is written as encoding/csv writes it, whatever is in it: what reads
// one log reads the other.
func FuzzField(f *testing.F) {
	for _, s := range []string{"", "bob@example.net", "Lunch, perhaps", `"Lunch"`, " led by a space", "\u2003and by another", `\.`, `\x`,
		"two\r\nlines", "\x00\x7f\u0085\u2028", "Mahlzeit, jörg", "\xff\xfe", "\ttab", strings.Repeat("ä", maxField), strings.Repeat("a", maxField) + "b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := record{messageSubject: s, directionality: "Incoming"}
		var want bytes.Buffer
		w := csv.NewWriter(&want)
		if err := w.Write(append(append(make([]string, messageSubject), oneLine(s)), "", "", "", "Incoming")); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		got := r.append(nil)
		if string(got) != want.String() {
			t.Fatalf("%q: %s, encoding/csv has %s", s, got, &want)
		}
		if bytes.Count(got, []byte("\n")) != 1 || bytes.ContainsAny(got[:len(got)-1], "\x00\r\t\x1b\x7f") {
			t.Fatalf("%q: %q", s, got)
		}
	})
}
