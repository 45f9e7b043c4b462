package antispam

import (
	"encoding/json"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy"
)

// The greylist defers the first attempt and accepts the retry, also after a reload and a
// restart. After a reload with another delay it still knows the first attempt.
func TestGreylist(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "filters.greylist.delay: 2s")
	w.rcpt("a@example.net", "b@example.com", "451 4.7.1")
	w.reload("filters.greylist.delay: 2s", "max-recipients: 7")
	peers.Await(t, "the end of the delay", func() bool { return w.accepts("a@example.net", "b@example.com") })
	w.rcpt("c@example.net", "b@example.com", "451 4.7.1")
	w.reload("filters.greylist.delay: 1h")
	w.rcpt("a@example.net", "b@example.com", "250") // known to the previous greylist
	w.rcpt("c@example.net", "b@example.com", "451 4.7.1")
	w.reload() // off
	w.rcpt("c@example.net", "b@example.com", "250")
	w.reload("filters.greylist.delay: 1h")
	w.rcpt("a@example.net", "b@example.com", "250")
	w.rcpt("d@example.net", "b@example.com", "451 4.7.1")
	w.Stop(t)
	w.start()
	w.rcpt("a@example.net", "b@example.com", "250")
	w.rcpt("d@example.net", "b@example.com", "451 4.7.1")
	w.reload("filters.greylist.delay: 1h", "filters.exempt: 127.0.0.1")
	w.rcpt("d@example.net", "b@example.com", "250")
	w.Stop(t)
}

// A saved greylist that is damaged is reported, and all clients are unknown again.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "filters.greylist.delay: 1s")
	w.Stop(t)
	saved := filepath.Join(w.spool(), "filters", "greylist")
	if info, err := os.Stat(saved); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if err := os.WriteFile(saved, []byte("bridgehead greylist 1\nx"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	want(t, w.Log(), `level=ERROR msg="the filter begins without its saved state" filter=greylist file=`+saved)
	w.rcpt("a@example.net", "b@example.com", "451 4.7.1")
	w.Stop(t)
}

// A folder that cannot be made for the state is reported at the start, and mail is
// accepted.
func TestNoFolderForState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "filters.greylist.delay: 1s", "filters.state: /proc/none")
	want(t, w.Log(), `level=ERROR msg="the state of a filter cannot be saved" filter=greylist error="mkdir /proc/none`)
	w.rcpt("a@example.net", "b@example.com", "451 4.7.1")
}

// The limits count messages and recipients, and a reload keeps the counts.
func TestRates(t *testing.T) {
	t.Parallel()
	limits := "filters.rates: sender; messages=2; per=1h | sender-domain; recipients=4; per=24h"
	w := newWorld(t, limits)
	w.rcpt("a@example.net", "b@example.com", "250")
	w.rcpt("A@example.net", "b@example.com", "250")
	w.sender("450 4.7.1 Too many messages")
	w.reload(limits, "max-recipients: 7")
	w.sender("450 4.7.1 Too many messages")
	w.rcpt("c@example.net", "b@example.com", "250")
	w.rcpt("d@example.net", "b@example.com", "250")
	w.rcpt("e@example.net", "b@example.com", "450 4.7.1 Too many recipients")
	w.rcpt("e@example.org", "b@example.com", "250")
	w.reload(limits, "filters.exempt: 127.0.0.1")
	w.rcpt("a@example.net", "b@example.com", "250")
	w.rcpt("a@example.net", "b@example.com", "250")
	w.rcpt("a@example.net", "b@example.com", "250")
	w.Stop(t)
}

// A client that asks for unknown recipients is refused for a time, also after a reload and
// a restart. The health of the relay names it.
func TestReputation(t *testing.T) {
	t.Parallel()
	metrics := "metrics: " + peers.FreeAddr(t)
	settings := []string{metrics, "filters.reputation.block-level: 7", "filters.reputation.min-points: 2", "filters.reputation.block-time: 1h"}
	w := newWorld(t, settings...)
	began := time.Now()
	for range 3 { // after two, a bit less than two points are left
		w.rcpt("a@example.net", "nobody@example.com", "550 5.1.1")
	}
	w.sender("550 5.7.1 Mail from your address is refused temporarily because of its reputation")
	_, text, _ := strings.Cut(w.health(metrics), "clients refused because of their reputation (1): 127.0.0.1/32 until ")
	until, err := time.Parse(time.RFC3339, text[:min(len(text), len("2026-11-29T16:00:00Z"))])
	if latest := time.Now().Add(time.Hour); err != nil || until.After(latest) || until.Before(began.Add(time.Hour).Truncate(time.Second)) {
		t.Errorf("the block ends at %v, want from %v to %v: %v", until, began.Add(time.Hour), latest, err)
	}
	w.reload(append(settings, "max-recipients: 7")...)
	w.sender("550 5.7.1")
	settings[1] = "filters.reputation.block-level: 8"
	w.reload(settings...)
	w.sender("550 5.7.1")
	w.Stop(t)
	w.start()
	w.sender("550 5.7.1")
	w.reload(append(settings, "filters.exempt: 127.0.0.1")...)
	w.sender("250")
	w.Stop(t)
}

// The organization's own relays forward the mail of many clients. The filters by client do
// not apply to them, and a reload can change which they are.
func TestInternal(t *testing.T) {
	t.Parallel()
	settings := []string{"filters.greylist.delay: 1h", "filters.rates: address; messages=2; per=1h", "filters.reputation.block-level: 7", "filters.reputation.min-points: 2"}
	w := newWorld(t, append(settings, "internal: 127.0.0.0/8")...)
	for range 4 {
		w.rcpt("a@example.net", "nobody@example.com", "550 5.1.1")
		w.rcpt("a@example.net", "b@example.com", "250")
	}
	w.reload(settings...)
	w.rcpt("a@example.net", "b@example.com", "451 4.7.1 Greylisted")
	w.rcpt("a@example.net", "nobody@example.com", "550 5.1.1")
	w.sender("450 4.7.1 Too many messages")
	w.Stop(t)
}

// Each refusal of a session is answered later than the one before.
func TestTarpit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "filters.tarpit.delay: 100ms", "filters.tarpit.max: 150ms")
	began := time.Now()
	w.talk(w.Addrs[0], "a@example.net", "b@example.com", strings.Repeat("C: RCPT TO:<x@example.org>\nS: 550\n", 3))
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("three refusals took %v, want at least 100 + 150 + 150 ms", took)
	}
	w.Stop(t)
}

// accepts reports whether the reply to RCPT is 250.
func (w *world) accepts(from, to string) bool {
	w.t.Helper()
	c, err := smtp.Dial(w.Addrs[0])
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail(from); err != nil {
		w.t.Fatal(err)
	}
	return c.Rcpt(to) == nil
}

// health returns the detail of the filters in the health.
func (w *world) health(metrics string) string {
	w.t.Helper()
	answer, err := http.Get("http://" + strings.TrimPrefix(metrics, "metrics: ") + "/readyz")
	if err != nil {
		w.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer answer.Body.Close()
	var h struct {
		Checks []struct{ Name, Detail string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&h); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range h.Checks {
		if c.Name == "filters" {
			return c.Detail
		}
	}
	return "no check of the filters"
}

// Rules that are made but never applied, because a reload has failed, change nothing.
func TestSlot(t *testing.T) {
	var s slot[*policy.Rates]
	a, b := new(policy.Rates), new(policy.Rates)
	if got := s.use("x", a); got != a {
		t.Error("the first one is not used")
	}
	if got := s.use("x", b); got != b {
		t.Error("rules that were not applied have left a filter in use")
	}
	apply(new(state), &s, "")
	if got := s.use("x", a); got != b {
		t.Error("the same settings have made another filter")
	}
	if got := s.use("y", a); got != a {
		t.Error("other settings have made no other filter")
	}
	if s.now != b {
		t.Error("a filter is in use before its rules are")
	}
}
