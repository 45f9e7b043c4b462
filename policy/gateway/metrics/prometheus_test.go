package metrics_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
)

// A real Prometheus scrapes the relay in OpenMetrics, and has its numbers.
func TestPrometheusScrapes(t *testing.T) {
	program := peers.Need(t, "prometheus")
	r := newRelay(t)
	r.run(t)
	r.work(t)
	e := &metrics.Exporter{Gateway: &r.Gateway}
	var openMetrics atomic.Bool
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.ServeHTTP(w, r)
		if strings.HasPrefix(w.Header().Get("Content-Type"), "application/openmetrics-text") {
			openMetrics.Store(true)
		}
	}))
	defer target.Close()

	dir := t.TempDir()
	config := fmt.Sprintf("scrape_configs:\n- job_name: relay\n  scrape_interval: 1s\n  static_configs:\n  - targets: [%q]\n", target.Listener.Addr())
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := peers.FreeAddr(t)
	c := exec.Command(program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr, "--log.level=error")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		c.Process.Kill()
		c.Wait()
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	query := func(q string) string {
		resp, err := client.Get("http://" + addr + "/api/v1/query?query=" + url.QueryEscape(q))
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		var answer struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		if json.NewDecoder(resp.Body).Decode(&answer) != nil || len(answer.Data.Result) != 1 {
			return ""
		}
		return fmt.Sprint(answer.Data.Result[0].Value[1])
	}
	peers.Await(t, "a scrape of Prometheus", func() bool { return query("bridgehead_smtpd_sessions_total") == "2" })
	for q, want := range map[string]string{
		`up`:                        "1",
		`bridgehead_smtpd_sessions`: "0",
		`bridgehead_queue_recipients_total{outcome="delivered"}`:          "3",
		`bridgehead_queue_messages_by_age_bucket{le="300.0"}`:             "1",
		`sum(bridgehead_smtpd_replies_total{code="250"})`:                 "13",
		`count(bridgehead_queue_messages)`:                                "8",
		`max(bridgehead_smtpd_accept_duration_seconds_count)`:             "3",
		`sum(bridgehead_smtp_replies_total{stage="rcpt",enhanced="5.1"})`: "1",
	} {
		if got := query(q); got != want {
			t.Errorf("%s is %q, want %q", q, got, want)
		}
	}
	if !openMetrics.Load() {
		t.Error("Prometheus has not negotiated OpenMetrics")
	}
}
