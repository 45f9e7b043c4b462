package rules_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
)

// tracked returns the records of all files in dir.
func tracked(t *testing.T, dir string) [][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestTrackingHasALineForEachAction(t *testing.T) {
	track := &rules.Tracking{Dir: filepath.Join(t.TempDir(), "RulesTracking")}
	t.Cleanup(func() { track.Close() })
	rs := &rules.Rules{Tracking: track, List: []rules.Rule{
		{Name: "footer", If: []rules.Condition{rules.Not(rules.To("example.net"))},
			Then: []rules.Action{rules.PrependSubject("[X] "), rules.Copy("x@example.com", "y@example.com")}},
		{Name: "never", If: []rules.Condition{rules.Authenticated()}, Then: []rules.Action{rules.Drop()}},
		{Name: "no, \"never\"", If: []rules.Condition{rules.To("b@example.net")}, Then: []rules.Action{rules.Reject(550, "No")}},
	}}
	agenttest.Refused(t, 550, "alice@example.com", to, mail, rs.Agent())
	got := tracked(t, track.Dir)
	when := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	for i, r := range got[1:] {
		if !when.MatchString(r[0]) {
			t.Errorf("Date-Time %q", r[0])
		}
		got[i+1] = r[1:]
	}
	const from, id, skipped = "alice@example.com", "<1@example.com>", "Conditions evaluated to false. Rule skipped."
	want := [][]string{
		{"Date-Time", "Message-Id", "Rule-Name", "Details", "Action", "From-Address", "Recipient-Address"},
		{id, "footer", skipped, "NoAction", from, "b@example.net"},
		{id, "footer", "[X] ", "PrependSubject", from, "c@example.org;d@sub.example.org"},
		{id, "footer", "x@example.com;y@example.com", "BlindCopyTo", from, "c@example.org;d@sub.example.org"},
		{id, "never", skipped, "NoAction", from, strings.Join(to, ";") + ";x@example.com;y@example.com"},
		{id, "no, \"never\"", skipped, "NoAction", from, "c@example.org;d@sub.example.org;x@example.com;y@example.com"},
		{id, "no, \"never\"", "550;No", "RejectMessage", from, "b@example.net"},
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("tracked\n%q\nwant\n%q", got, want)
	}
	// A message of another sender is not tracked.
	one := &rules.Tracking{Dir: t.TempDir(), Sender: "Bob@example.com"}
	t.Cleanup(func() { one.Close() })
	rs.Tracking, rs.List = one, rs.List[:2]
	for _, from := range []string{"alice@example.com", "bob@EXAMPLE.com"} {
		agenttest.Relay(t, from, to, mail, rs.Agent())
	}
	for _, r := range tracked(t, one.Dir)[1:] {
		if r[5] != "bob@EXAMPLE.com" {
			t.Errorf("tracked %q", r)
		}
	}
}

// A sender cannot add lines to the tracking log with the text of the message.
func TestTrackingCannotBeForged(t *testing.T) {
	track := &rules.Tracking{Dir: t.TempDir()}
	t.Cleanup(func() { track.Close() })
	rs := &rules.Rules{Tracking: track, List: []rules.Rule{{Name: "r", Then: []rules.Action{rules.RemoveHeader("X")}}}}
	agenttest.Relay(t, "a@example.org", to, "Message-ID: <1>\"\r\n\t,\r\n\tx,evil,\"\r\n\r\n", rs.Agent())
	if got := tracked(t, track.Dir); len(got) != 2 || got[1][2] != "r" {
		t.Errorf("%q", got)
	}
}

func TestTrackingFilesAreBounded(t *testing.T) {
	track := &rules.Tracking{Dir: filepath.Join(t.TempDir(), "[rules"), MaxFile: 1000, MaxDir: 3000}
	t.Cleanup(func() { track.Close() })
	rs := &rules.Rules{Tracking: track, List: []rules.Rule{{Name: "r", Then: []rules.Action{rules.RemoveHeader("X")}}}}
	s := agenttest.Start(t, rs.Agent())
	c := s.Dial(t)
	for range 100 {
		if code, text := c.Send("a@example.org", to, mail); code != 250 {
			t.Fatal(code, text)
		}
	}
	files, err := os.ReadDir(track.Dir)
	if err != nil || len(files) != 3 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Size() > 1000 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info, err)
		}
	}
}

// Mail is accepted even if tracking fails.
func TestTrackingThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rs := &rules.Rules{Tracking: &rules.Tracking{Dir: file}, List: []rules.Rule{{Name: "r", Then: []rules.Action{rules.RemoveHeader("X")}}}}
	agenttest.Relay(t, "a@example.org", to, mail, rs.Agent())
}
