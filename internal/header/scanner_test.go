package header_test

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// repaired returns a message with its repairs, as a relay sends it.
func repaired(t testing.TB, message string) string {
	t.Helper()
	ins, err := header.Repairs(strings.NewReader(message), int64(len(message)))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	at := 0
	for _, i := range ins {
		b.WriteString(message[at:i.At] + i.Text)
		at = i.At
	}
	return b.String() + message[at:]
}

func TestRepairs(t *testing.T) {
	long := strings.Repeat("x", 20<<10)
	for message, want := range map[string]string{
		// Correct and obsolete fields do not change.
		"":                             "",
		"Subject: s\r\n":               "Subject: s\r\n",
		"\r\nbody\r\n":                 "\r\nbody\r\n",
		"Subject: s\r\n\r\nbody\r\n":   "Subject: s\r\n\r\nbody\r\n",
		"Subject: s\n\nFrom: x\n":      "Subject: s\n\nFrom: x\n",
		"Subject : s\r\n\r\nb\r\n":     "Subject : s\r\n\r\nb\r\n",
		"Subject\t: s\r\n\r\n":         "Subject\t: s\r\n\r\n",
		"Subject:\r\n s\r\n\t\r\n\r\n": "Subject:\r\n s\r\n\t\r\n\r\n",
		"From : a@example.org\r\n\r\n": "From : a@example.org\r\n\r\n",
		"X: " + long + "\r\n " + long + "\r\nY: y\r\n\r\nb": "X: " + long + "\r\n " + long + "\r\nY: y\r\n\r\nb",
		// The header ends at the first line that is not a field.
		"To: x\r\nno field at all\r\nFrom: y\r\n\r\nb\r\n": "To: x\r\n\r\nno field at all\r\nFrom: y\r\n\r\nb\r\n",
		"To: x\r\nX Mailer: foo\r\nFrom: y\r\n":            "To: x\r\n\r\nX Mailer: foo\r\nFrom: y\r\n",
		"To: x\r\n:\r\nFrom: y\r\n":                        "To: x\r\n\r\n:\r\nFrom: y\r\n",
		"To: x\r\n: z\r\nFrom: y\r\n":                      "To: x\r\n\r\n: z\r\nFrom: y\r\n",
		"To: x\r\nFrom\r\n : y\r\nCc: z\r\n":               "To: x\r\n\r\nFrom\r\n : y\r\nCc: z\r\n",
		"From\r\n : y\r\nCc: z\r\n":                        "\r\nFrom\r\n : y\r\nCc: z\r\n",
		" folded\r\nFrom: y\r\n":                           "\r\n folded\r\nFrom: y\r\n",
		"To: x\r\nX\xc3\xa9: z\r\nFrom: y\r\n":             "To: x\r\n\r\nX\xc3\xa9: z\r\nFrom: y\r\n",
		"To: x\r\nX\x01: z\r\nFrom: y\r\n":                 "To: x\r\n\r\nX\x01: z\r\nFrom: y\r\n",
		"To: x\r\nFr\rom: y\r\n":                           "To: x\r\n\r\nFr\rom: y\r\n",
		"To: x\r\n\rFrom: y\r\n":                           "To: x\r\n\r\n\rFrom: y\r\n",
		"To: x\r\n\r\r\nFrom: y\r\n":                       "To: x\r\n\r\n\r\r\nFrom: y\r\n",
		"To: x\nno field\nFrom: y\n":                       "To: x\n\r\nno field\nFrom: y\n",
		"To: x\r\n" + long + ": z\r\nFrom: y\r\n":          "To: x\r\n\r\n" + long + ": z\r\nFrom: y\r\n",
		"To: x\r\nX: " + long + "\r\nz\r\nFrom: y\r\n":     "To: x\r\nX: " + long + "\r\n\r\nz\r\nFrom: y\r\n",
		"body":                               "\r\nbody",
		"To: x\r\nbody":                      "To: x\r\n\r\nbody",
		"To: x\r\nFrom: y":                   "To: x\r\nFrom: y\r\n",
		"To: x\r\nX: " + long:                "To: x\r\nX: " + long + "\r\n",
		"From: a\r\nFrom x Sat\r\nTo: y\r\n": "From: a\r\n\r\nFrom x Sat\r\nTo: y\r\n",
		"From\tx\r\nSubject: s\r\n\r\nb\r\n": "\r\nFrom\tx\r\nSubject: s\r\n\r\nb\r\n",
		// An mbox line at the start becomes a field, as in Postfix.
		"From x Sat Nov 28 11:00:00 2026\r\nTo: y\r\n\r\nb\r\n": "X-Mailbox-Line: From x Sat Nov 28 11:00:00 2026\r\nTo: y\r\n\r\nb\r\n",
		">From x Sat\r\nTo: y\r\n\r\n":                          "X-Mailbox-Line: >From x Sat\r\nTo: y\r\n\r\n",
		"From x\r\n>>From y\r\nTo: y\r\n\r\n":                   "X-Mailbox-Line: From x\r\nX-Mailbox-Line: >>From y\r\nTo: y\r\n\r\n",
		"From x\r\n folded\r\nTo: y\r\n\r\n":                    "X-Mailbox-Line: From x\r\n\r\n folded\r\nTo: y\r\n\r\n",
		"From x\r\nbody\r\n":                                    "X-Mailbox-Line: From x\r\n\r\nbody\r\n",
		"From x\r\n\r\nTo: y\r\n":                               "X-Mailbox-Line: From x\r\n\r\nTo: y\r\n",
		"From x":                                                "X-Mailbox-Line: From x\r\n",
		"From " + long + "\r\nTo: y\r\n":                        "X-Mailbox-Line: From " + long + "\r\nTo: y\r\n",
	} {
		got := repaired(t, message)
		if got != want {
			t.Errorf("%.200q:\n got %.200q,\nwant %.200q", message, got, want)
		}
		if again := repaired(t, got); again != got {
			t.Errorf("%.200q: repaired once more: %.200q", got, again)
		}
	}
	crowd := strings.Repeat("From x\r\n", 101)
	if got := repaired(t, crowd); strings.Count(got, "X-Mailbox-Line") != 100 || !strings.HasSuffix(got, "\r\n\r\nFrom x\r\n") {
		t.Errorf("101 mbox lines: %q", got)
	}
}

// The result of the Scanner does not depend on the pieces of the content.
func TestScannerInPieces(t *testing.T) {
	for _, message := range []string{
		"From x\r\nTo: x\r\n y\r\n\r\nb\r\n", "To: x\r\nno field\r\nFrom: y\r\n", "To: x\r\n\r", "To: x\r\nFrom: y", "To: x\r\nX: " + strings.Repeat("x", 5000) + "\r\n\r\n",
	} {
		var all header.Scanner
		all.Scan([]byte(message), true)
		for _, size := range []int{1, 2, 3, 7, 1000} {
			var s header.Scanner
			for n := min(size, len(message)); !s.Scan([]byte(message[s.End:n]), n == len(message)); n = min(n+size, len(message)) {
			}
			if s.End != all.End || s.Blank != all.Blank || s.Bare != all.Bare || string(s.Section([]byte(message))) != string(all.Section([]byte(message))) {
				t.Errorf("%.40q in pieces of %d: %+v, at once %+v", message, size, s, all)
			}
		}
	}
}

// A repaired message needs no more repairs and has lost nothing.
func FuzzRepairs(f *testing.F) {
	for _, s := range []string{"", "To: x\r\nno field\r\nFrom: y\r\n\r\nb", "From x\r\n>From y\r\nA:", "A\r\n : b\r\n", " a\n\n", "A: b\r\n\r\r\n\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, message string) {
		got := repaired(t, message)
		if again := repaired(t, got); again != got {
			t.Fatalf("%q: %q, repaired once more: %q", message, got, again)
		}
		var s, whole header.Scanner
		s.Scan([]byte(got), true)
		section := string(s.Section([]byte(got)))
		if s.Bare || got[:s.End] != section {
			t.Fatalf("%q: the section is %q, %+v", message, section, s)
		}
		for f := range header.All([]byte(section)) {
			if f.Name() == "" {
				t.Fatalf("%q: %q is not a field", message, f)
			}
		}
		whole.Scan([]byte(message), true)
		if string(whole.Section([]byte(message))) != section {
			t.Fatalf("%q: Section is %q, with Repairs it is %q", message, whole.Section([]byte(message)), section)
		}
	})
}
