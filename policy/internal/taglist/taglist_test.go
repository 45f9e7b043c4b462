package taglist

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const text = " v=1; a =\r\n\trsa-sha256 ;h= From : To\r\n ; b=AB\r\n\tCD= ; x_1=;"
	list, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"v": "1", "a": "rsa-sha256", "h": "From : To", "b": "AB\r\n\tCD=", "x_1": "", "none": ""} {
		if got := list.Value(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, found := list.Get("x_1"); !found {
		t.Error("an empty tag is not found")
	}
	for _, tag := range list {
		if got := text[tag.Start:tag.End]; strings.Trim(got, " \t\r\n") != tag.Value {
			t.Errorf("%s is at %q", tag.Name, got)
		}
	}
	if got := Split(list.Value("h"), ":"); !slices.Equal(got, []string{"From", "To"}) {
		t.Errorf("split into %q", got)
	}
	if got := Compact(list.Value("b")); got != "ABCD=" {
		t.Errorf("compact %q", got)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"v=1; v=1":              "appears twice",
		"v=1; word":             `"word" is not a tag`,
		"=1":                    "is not a tag",
		"1a=1":                  "is not a tag",
		"a b=1":                 "is not a tag",
		strings.Repeat("x", 99): "xxx...",
		manyTags(maxTags + 1):   "too many tags",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	if _, err := Parse(manyTags(maxTags)); err != nil {
		t.Error(err)
	}
}

// RFC 6376, 3.2: a tag list has a tag before each semicolon. Parse requires this
// for signatures. ParseRecord ignores empty tags in DNS records.
func TestEmptyTags(t *testing.T) {
	for text, valid := range map[string]bool{
		"a=1":           true,
		"a=1;":          true,
		"a=1;\r\n\t ":   true,
		"a=1; b=2 ;":    true,
		"a=;b=":         true, // an empty value is not an empty tag
		";a=1":          false,
		"a=1;;b=2":      false,
		"a=1; ;b=2":     false,
		"a=1;\r\n ;b=2": false,
		"a=1;;":         false,
		";":             false,
	} {
		if _, err := Parse(text); (err == nil) != valid {
			t.Errorf("Parse(%q): %v", text, err)
		}
		if _, err := ParseRecord(text); err != nil {
			t.Errorf("ParseRecord(%q): %v", text, err)
		}
	}
}

func manyTags(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("t" + strings.Repeat("x", i) + "=1;")
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add("v=DKIM1; k=rsa; p=AB CD")
	f.Add("a=;b==;;c = d ")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := Parse(s)
		tolerant, _ := ParseRecord(s)
		if err != nil {
			return
		}
		if !slices.Equal(list, tolerant) {
			t.Errorf("%q: %+v, as a record %+v", s, list, tolerant)
		}
		for _, tag := range list {
			if strings.Trim(s[tag.Start:tag.End], " \t\r\n") != tag.Value || tag.Name == "" {
				t.Errorf("%q: tag %+v", s, tag)
			}
		}
	})
}

// Compact and trim are functions of package strings for one set of characters.
func FuzzCompact(f *testing.F) {
	f.Add("AB\r\n\t CD ")
	f.Add(" \u00a0 x\xff ")
	f.Fuzz(func(t *testing.T, s string) {
		const blanks = " \t\r\n"
		if got, want := Compact(s), strings.Join(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(blanks, r) }), ""); got != want {
			t.Errorf("Compact(%q) = %q, want %q", s, got, want)
		}
		if got, want := trim(s), strings.Trim(s, blanks); got != want {
			t.Errorf("trim(%q) = %q, want %q", s, got, want)
		}
	})
}
