package wire

import "testing"

func FuzzEscape(f *testing.F) {
	f.Add("a@b c;\"\\.example")
	f.Add("\x00\xff\\032")
	f.Fuzz(func(t *testing.T, s string) {
		if got := unescape(escape(s)); got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// A name in an Answer has no escapes. A dot inside a label makes it an invalid
// host name.
func TestNamesInAnswers(t *testing.T) {
	for text, want := range map[string]string{
		".":                          ".",
		"mx.example.net.":            "mx.example.net",
		`a\@b\ c.example.net.`:       "a@b c.example.net",
		`\195\169.example.net.`:      "\u00e9.example.net",
		`mx\.example.net.`:           `mx\.example.net`,
		`mx\046example.net.`:         `mx\.example.net`,
		`back\\slash.example.net.`:   `back\slash.example.net`,
		`back\\.example.net.`:        `back\.example.net`,
		`with\.dot\\and\@.example.`:  `with\.dot\and@.example`,
		"xn--bcher-kva.example.net.": "xn--bcher-kva.example.net",
	} {
		if got := nameText(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
