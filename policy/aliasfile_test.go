package policy

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func parseAliases(text string) (map[string]*Alias, error) {
	return (&AliasFile{Path: "aliases"}).parse(strings.NewReader(text))
}

func TestAliasFile(t *testing.T) {
	_, err := parseAliases("\ufeff# comment\n" + `
info@Example.com: alice@example.com   # an alias
sales@example.com: bob@example.com, "a, b: c"@example.com,
	carol@example.net # still sales

    dave@example.net,
"x: y"@example.com : [1]@example.com
"x: y"@EXAMPLE.org:erin@example.com
owner-sales@example.com: bob@example.com
board@example.com: :hidden: frank@example.com, grace@example.com
frank@example.com: :host: Mail2.example.com
grace@example.com:
	:host: [192.0.2.5]
`)
	if err == nil || !strings.Contains(err.Error(), `aliases: line 8: "[1]@example.com"`) {
		t.Fatalf("error %v", err)
	}
	table, err := parseAliases("info@Example.com: alice@example.com # x\r\nsales@example.com: bob@example.com, \"a, b: c\"@example.com,\n\tcarol@example.net\n\n    dave@example.net,\n" +
		"\"x: y\"@EXAMPLE.org:erin@example.com\nowner-sales@example.com: bob@example.com\nboard@example.com: :hidden: frank@example.com,\n grace@example.com\nfrank@example.com: :host: Mail2.example.com\ngrace@example.com:\n\t:host: [192.0.2.5]")
	if err != nil || len(table) != 7 {
		t.Fatal(err, len(table))
	}
	for name, want := range map[string]string{
		"info@example.com":   "alice@example.com",
		"SALES@example.com":  `bob@example.com|"a, b: c"@example.com|carol@example.net|dave@example.net`,
		`"x: y"@example.org`: "erin@example.com",
		"board@example.com":  "frank@example.com|grace@example.com",
	} {
		if a := table[fold(name)]; a == nil || strings.Join(a.Members, "|") != want || a.Hidden != strings.HasPrefix(name, "board") {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if o := table["sales@example.com"].Owner; o != "owner-sales@example.com" {
		t.Errorf("owner %q", o)
	}
	if a, b := table["frank@example.com"].Route.Destination, table["grace@example.com"].Route.Destination; a != "mail2.example.com" || b != "[192.0.2.5]" {
		t.Errorf("routes %q, %q", a, b)
	}
}

// An error names the file and the line.
func TestAliasFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "aliases: the file has no entries",
		"# only this\n":                          "aliases: the file has no entries",
		"a@example.com b@example.com":            "line 1: \"a@example.com b@example.com\" is not of the form",
		"\na: b@example.com":                     "line 2: \"a\"",
		"a@example.com: b":                       "line 1: \"b\"",
		"a@example.com: b@example.com c@x.org":   "line 1: \"b@example.com c@x.org\"",
		"a@example.com:\nb@example.com: c@x.org": "line 1: the entry has no members",
		"b@example.com: c@x.org\n\na@example.com: ,": "line 3: the entry has no members",
		"  b@example.com": "line 1: the line begins with white space",
		"a@example.com: b@x.org\nA@EXAMPLE.com: c@x.org": "line 2: a second entry for A@EXAMPLE.com",
		"a@example.com: :host: a..b":                     "line 1: :host: \"a..b\"",
		"a@example.com: :host:":                          "line 1: :host: \"\"",
		"a@example.com: :host: [1.2]":                    "line 1: :host: \"[1.2]\"",
		"a@example.com: :host: b.org\n c@x.org":          "line 2: an entry with :host: has no members",
		"a@example.com: c@x.org\n :host: b.org":          "line 2: \":host: b.org\"",
		`"a@example.com: c@x.org`:                        "line 1:",
		"a@example.com: " + strings.Repeat("x", 1<<17):   "line 1: bufio.Scanner: token too long",
	} {
		if _, err := parseAliases(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
}

// A file that becomes invalid keeps the previous table in use. The error is logged
// and returned by Err until the file is right again.
func TestAliasFileReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "aliases")
		var log bytes.Buffer
		f := &AliasFile{Path: path}
		f.Inherit(smtpserver.Defaults{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if _, err := f.Alias(t.Context(), "a@example.com"); err == nil {
			t.Error("no error without a file")
		}
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Time{}, time.Now()); err != nil {
				t.Fatal(err)
			}
			sleep(time.Minute)
		}
		check := func(want string, fails bool) {
			t.Helper()
			a, err := f.Alias(t.Context(), "A@example.com")
			if err != nil || a == nil || !slices.Equal(a.Members, []string{want}) || (f.Err() != nil) != fails {
				t.Errorf("%+v, %v; Err %v", a, err, f.Err())
			}
		}
		write("a@example.com: b@example.com\n")
		check("b@example.com", false)
		for _, bad := range []string{"", "a@example.com", "a@example.com: nobody\n"} {
			write(bad)
			check("b@example.com", true)
		}
		os.Remove(path)
		sleep(time.Minute)
		check("b@example.com", true)
		if n := strings.Count(log.String(), "level=ERROR msg=\"policy: aliases cannot be read\""); n != 5 {
			t.Errorf("%d errors in the log:\n%s", n, log.String())
		}
		write("a@example.com: c@example.com\n")
		check("c@example.com", false)
		if err := f.Load(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzAliasFile(f *testing.F) {
	f.Add("a@example.com: b@example.com, \"x, y\"@example.com\n c@example.com # d\nowner-a@example.com: :hidden: b@example.com")
	f.Add("a@example.com: :host: [192.0.2.1]")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := parseAliases(text)
		if err != nil {
			return
		}
		a := &Aliases{Source: aliasMap(table)}
		for name, entry := range table {
			if len(entry.Members) == 0 && entry.Route.Destination == "" {
				t.Errorf("%q is empty", name)
			}
			left := a.maxMembers()
			a.expand(t.Context(), name, entry, true, &left)
		}
	})
}

// aliasMap is an AliasSource in a map.
type aliasMap map[string]*Alias

func (m aliasMap) Alias(_ context.Context, address string) (*Alias, error) {
	return m[fold(address)], nil
}
