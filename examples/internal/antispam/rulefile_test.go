package antispam

import (
	"os"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
)

const allRules = `# all conditions and actions
rule one
  if from example.com *.example.com <> a@example.net
  if to b@example.com
  if subject invoice "pay \"now\""
  if body lottery
  if attachment *.zip *.exe
  if attachment
  if header X-Mailer "^The Bat"
  if larger-than 3M
  if level 5
  if client 192.0.2.0/24 2001:db8::1
  unless authenticated
  unless not not from example.org
  then disclaimer "line one\nline two"
  then disclaimer text "<p>text</p>" # a comment
  then subject "[X] "
  then set-header X-Rule "one"
  then remove-header X-Mailer
  then set-level 3
  then copy archive@example.com c@example.com
  stop

rule two and a half
	disabled
	then redirect d@example.com
rule three
then refuse "No, thank you"
then discard`

func TestParseRules(t *testing.T) {
	list, err := parseRules("rules", allRules)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 || list[1].Name != "two and a half" || !list[1].Disabled || !list[0].Stop || list[1].Stop || list[0].Disabled {
		t.Errorf("%+v", list)
	}
	if n := []int{len(list[0].If), len(list[0].Unless), len(list[0].Then), len(list[2].Then)}; n[0] != 10 || n[1] != 2 || n[2] != 7 || n[3] != 2 {
		t.Errorf("conditions, exceptions and actions: %v", n)
	}
	if err := (&rules.Rules{List: list}).Validate(); err != nil {
		t.Error(err)
	}
	if list, err := parseRules("rules", strings.ReplaceAll(allRules, "\n", "\r\n")); err != nil || len(list) != 3 {
		t.Errorf("with CRLF: %v", err)
	}
}

// The rules in doc.go are right.
func TestDocumentedRules(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "//	rule no payments")
	text, _, _ = strings.Cut(text, "// Conditions:")
	list, err := parseRules("doc.go", "rule no payments"+strings.ReplaceAll(text, "\n//", "\n"))
	if err != nil || len(list) != 2 || list[0].Name != "no payments by mail" {
		t.Errorf("%+v, %v", list, err)
	}
}

// An error names the line.
func TestWrongRules(t *testing.T) {
	for text, want := range map[string]string{
		"if from x":                    `rules:1: the first line must begin a rule`,
		"rule":                         "rules:1: the rule has no name",
		"rule x\nrule y\nthen discard": `rules:1: the rule "x" has no action`,
		"rule x\nthen discard\nrule y": `rules:3: the rule "y" has no action`,
		"rule x\nthen discard\nrule  x\nthen discard":    `rules:3: another rule has the name "x", in line 1`,
		"rule x\nthen discard\nstop now":                 `rules:3: "stop now" does not begin a line of a rule`,
		"rule x\nthen discard\nif":                       `rules:3: "if" does not begin a line`,
		"rule x\nthen explode":                           `rules:2: "explode" is not an action`,
		"rule x\nthen refuse too many words":             `rules:2: "refuse too many words" is not an action`,
		"rule x\nthen refuse \"open":                     "rules:2: a quoted word has no end",
		"rule x\nthen refuse \"a\"b":                     `rules:2: no space after "a"`,
		"rule x\nthen refuse \"\\q\"":                    "rules:2: a quoted word has no end, or an unknown escape",
		"rule x\nthen set-level 10":                      `rules:2: "10" is not a level from 0 to 9`,
		"rule x\nthen redirect nobody":                   "rules:2: Redirect: ",
		"rule x\nthen set-header \"a b\" c":              "rules:2: SetHeader: ",
		"rule x\nthen disclaimer \"\"":                   "rules:2: Disclaimer: the text is empty",
		"rule x\nif not\nthen discard":                   "rules:2: no condition after not",
		"rule x\nif weather fine\nthen discard":          `rules:2: "weather fine" is not a condition`,
		"rule x\nif subject\nthen discard":               `rules:2: "subject" is not a condition`,
		"rule x\nif from *\nthen discard":                "rules:2: ",
		"rule x\nif header X ([\nthen discard":           "rules:2: ",
		"rule x\nif larger-than 0\nthen discard":         `rules:2: "0" is not a size`,
		"rule x\nif client 10.0.0.0/99\nthen discard":    "rules:2: ",
		"rule x\nif level -1\nthen discard":              `rules:2: "-1" is not a level`,
		"rule \xff":                                      "rules: is not text in UTF-8",
		"rule x\nthen explode\nif weather\nthen discard": `rules:3: "weather" is not a condition`,
		strings.Repeat("rule x\n", 1):                    "has no action",
	} {
		list, err := parseRules("rules", text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %q", text, list, err, want)
		}
	}
	many := "rule x\n" + strings.Repeat("then discard\n", rules.MaxRules+1)
	if _, err := parseRules("rules", many); err == nil || !strings.Contains(err.Error(), "rules:1002: the rule has more than 1000 lines") {
		t.Error(err)
	}
}

// Rules that are parsed are valid, or the error names the file.
func FuzzParseRules(f *testing.F) {
	f.Add(allRules)
	f.Add("rule \"x\"\nif subject \"\\u00e4\"\nthen refuse x")
	f.Add("rule x\nif header \"\" \"\"\nthen remove-header \"\"")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseRules("rules", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "rules:") {
				t.Errorf("%v", err)
			}
			return
		}
		if err := (&rules.Rules{List: list}).Validate(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// Twice the text takes about twice the time.
func TestParseRulesIsLinear(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"text":   func(s string) { parseRules("rules", s) },
		"a line": func(s string) { parseRules("rules", "rule x\nthen refuse "+s) },
		"a word": func(s string) { parseRules("rules", "rule x\nthen refuse \""+s+"\"") },
	}, []string{"a", "a ", "\"", "\"a\" ", "\n", "rule x\nthen discard\n", "then discard\n", "if from a\n", "#", "\\", "not ", "if not "})
}
