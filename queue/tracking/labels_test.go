package tracking

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

func TestLabels(t *testing.T) {
	for want, labels := range map[string]map[string]string{
		"":                               nil,
		"tenant=acme":                    {"tenant": "acme"},
		"campaign=spring 2026; tenant=":  {"tenant": "", "campaign": "spring 2026"},
		`a="b; c=d"; e=f=g`:              {"a": "b; c=d", "e": "f=g"},
		`a="\"b\""; c=" d"; e="f "; g='`: {"a": `"b"`, "c": " d", "e": "f ", "g": "'"},
		"a=Grüße":                        {"a": "Grüße"},
	} {
		got := formatLabels(labels)
		if back := parseLabels(got); got != want || !maps.Equal(back, labels) {
			t.Errorf("%v is %s, want %s; read as %v", labels, got, want, back)
		}
	}
}

func FuzzLabels(f *testing.F) {
	f.Add("tenant", "acme", "campaign", "spring; \"1\"")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		parseLabels(k1) // any column
		for _, k := range []string{k1, k2} {
			if k == "" || strings.ContainsAny(k, "=;: ") {
				return // not valid
			}
		}
		labels := map[string]string{k1: strings.ToValidUTF8(v1, "?"), k2: strings.ToValidUTF8(v2, "?")}
		if got := parseLabels(formatLabels(labels)); !maps.Equal(got, labels) {
			t.Errorf("%q became %q", labels, got)
		}
	})
}

func TestLabelsDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){"parseLabels": func(s string) { parseLabels(s) }}, doubling.Units)
}

// A file of a version without the column custom-data can be searched.
func TestSearchReadsOlderFiles(t *testing.T) {
	dir := t.TempDir()
	older := "#Software: Bridgehead\n#Fields: " + strings.Join(columns[:customData], ",") + "\n" +
		"2026-11-28T20:00:00.000Z,192.0.2.1,pc.example.com,,relay.example.com,,default,SMTP,RECEIVE,1,<1@example.com>,bob@example.net,,67,1,,,Lunch,alice@example.com,<alice@example.com>,event=1019,Incoming\n" +
		"2026-11-28T20:00:01.000Z,192.0.2.1\n"
	if err := os.WriteFile(filepath.Join(dir, "MSGTRK20261128-1.log"), []byte(older), 0o600); err != nil {
		t.Fatal(err)
	}
	var entries []*Entry
	var errs []string
	for e, err := range Search(dir, Filter{}) {
		if err != nil {
			errs = append(errs, err.Error())
			continue
		}
		entries = append(entries, e)
	}
	if len(entries) != 1 || entries[0].Columns["directionality"] != "Incoming" || entries[0].Labels != nil {
		t.Errorf("%+v", entries)
	}
	if len(errs) != 1 || !strings.Contains(errs[0], "line 4") || !strings.Contains(errs[0], "wrong number of fields") {
		t.Errorf("errors %q", errs)
	}
}
