package metrics_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
)

// promtool runs Debian's promtool, which must succeed and print nothing else than
// successes.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	c := exec.Command(peers.Need(t, "promtool"), args...)
	c.Stdin = strings.NewReader(stdin)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	} else if bytes.Contains(bytes.ToLower(out), []byte("error")) || bytes.Contains(out, []byte("should")) {
		t.Errorf("promtool %s:\n%s", strings.Join(args, " "), out)
	}
}

// Prometheus parses a scrape of a real relay, and has no objection to its names.
func TestPromtoolChecksAScrape(t *testing.T) {
	r := newRelay(t)
	r.run(t)
	r.work(t)
	text, _ := get(t, &metrics.Exporter{Gateway: &r.Gateway, NextHops: 20}, "")
	promtool(t, text, "check", "metrics")
}

// The alerts are valid rules, and those by age fire when a message is old.
func TestPromtoolChecksTheAlerts(t *testing.T) {
	promtool(t, "", "check", "rules", "alerts.yml")
	promtool(t, "", "test", "rules", filepath.Join("testdata", "alerts_test.yml"))
}

// dashboardQueries returns the queries of the sample dashboard.
func dashboardQueries(t *testing.T) (all []string) {
	t.Helper()
	b, err := os.ReadFile("grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	places, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if p.Title == "" || ids[p.ID] || len(p.Targets) == 0 {
			t.Errorf("panel %d %q has no title, no query, or the number of another panel", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := places[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("the panels %q and %q overlap", p.Title, other)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	if len(all) < 20 {
		t.Errorf("only %d queries", len(all))
	}
	return all
}

// The queries of the dashboard are valid.
func TestPromtoolChecksTheDashboard(t *testing.T) {
	rules := "groups:\n- name: dashboard\n  rules:\n"
	for _, expr := range dashboardQueries(t) {
		expr = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(expr)
		text, err := json.Marshal(expr) // a JSON string is a YAML string
		if err != nil {
			t.Fatal(err)
		}
		rules += "  - record: job:query\n    expr: " + string(text) + "\n    labels: {n: " + string(text) + "}\n"
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}

var names = regexp.MustCompile(`bridgehead_[a-z_]+`)

// Each metric that the alerts, their tests and the dashboard name exists, and the
// dashboard shows nearly all that exist.
func TestNamesExist(t *testing.T) {
	r := newRelay(t)
	r.run(t)
	families, err := (&metrics.Exporter{Gateway: &r.Gateway, NextHops: 1}).Gather(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	for _, f := range families {
		exists[f.Name] = true
		if f.Type.String() == "histogram" {
			exists[f.Name+"_bucket"], exists[f.Name+"_sum"], exists[f.Name+"_count"] = true, true, true
		}
	}
	used := map[string]bool{}
	for _, file := range []string{"alerts.yml", filepath.Join("testdata", "alerts_test.yml"), "grafana.json"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := names.FindAllString(string(b), -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range found {
			used[name] = true
			if !exists[name] {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
	for _, f := range families {
		if !used[f.Name] && !used[f.Name+"_bucket"] && !strings.HasPrefix(f.Name, "bridgehead_next_hop_") {
			t.Logf("not on the dashboard: %s", f.Name)
		}
	}
}
