package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A change first tells what it would do. It is done after a confirmation with a
// reason, and the audit log has it.
func TestActionIsConfirmedAndRecorded(t *testing.T) {
	dir := t.TempDir()
	inWorld(t, &Console{Authorize: asOperator, AuditDir: dir}, func(w *world) {
		w.token = ""
		for range 3 {
			w.submit(mail("bob@down.example"))
		}
		hop := form("connector", "internet", "destination", "down.example")
		var got outcome
		w.post("/queues/remove", 200, hop, &got)
		if got.Done || got.Count != 3 || got.ID != 0 {
			t.Errorf("without confirm: %+v", got)
		}
		hop.Set("confirm", "yes")
		var p problem
		w.post("/queues/remove", 400, hop, &p)
		if p.Parameter != "reason" {
			t.Errorf("without reason: %+v", p)
		}
		if n := w.stored(); n != 3 {
			t.Fatalf("%d messages are left, want 3", n)
		}
		hop.Set("reason", "spam <b>run</b>")
		w.post("/queues/remove", 200, hop, &got)
		if !got.Done || got.Count != 3 || got.ID == 0 {
			t.Errorf("%+v", got)
		}
		if n := w.stored(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
		lines := readAudit(t, dir)
		if len(lines) != 2 || lines[0].Result != "begun" || lines[1].Result != "done" {
			t.Fatalf("audit log: %+v", lines)
		}
		e := lines[1]
		if e.Name != "oscar" || e.Role.String() != "operator" || e.Reason != "spam <b>run</b>" || e.Count != 3 || e.Path != "/queues/remove" ||
			e.Parameters["destination"][0] != "down.example" || e.Time.IsZero() || !strings.Contains(e.Action, "down.example") {
			t.Errorf("audit log: %+v", e)
		}
		w.console.audit.close()
	})
}

// With a form, the browser sees a page that asks for the reason, and afterwards
// the page with the result.
func TestActionWithAForm(t *testing.T) {
	inWorld(t, &Console{Authorize: asOperator}, func(w *world) {
		w.token = ""
		m := w.submit(mail("bob@down.example"))
		key := keyOf(queue.NextHop{Connector: "internet", Destination: "down.example"})
		answer := w.sendPage("/queues/redirect", form("queue", key))
		page := answer.Body.String()
		if answer.Code != 200 || !strings.Contains(page, `name="queue" value="internet:down.example"`) ||
			!strings.Contains(page, `name="to-destination"`) || !strings.Contains(page, `name="reason"`) {
			t.Fatalf("%d\n%s", answer.Code, page)
		}
		answer = w.sendPage("/queues/redirect", form("queue", key, "confirm", "yes", "reason", "moved", "to-destination", "ok.example", "to-connector", "internet"))
		to := answer.Header().Get("Location")
		if answer.Code != http.StatusSeeOther || !strings.HasPrefix(to, "../queues?done=") {
			t.Fatalf("%d to %q", answer.Code, to)
		}
		if page := w.page(strings.TrimPrefix(to, ".."), 200); !strings.Contains(page, "Done:") || !strings.Contains(page, "moved") {
			t.Errorf("the page does not tell the result:\n%s", page)
		}
		if _, err := w.queue.Message(w.t.Context(), m.ID); err == nil {
			t.Error("the message was not delivered to the other next hop")
		}
		if page := w.page("/queues?done=1", 200); strings.Contains(page, "Done:") {
			t.Error("a link can make the page tell something")
		}
	})
}

// A mistake in the name of a parameter must not select more than was meant.
func TestUnknownParametersAreErrors(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		w.submit(mail("bob@down.example"))
		for _, f := range []struct {
			name   string
			values []string
		}{
			{"destinatoin", []string{"down.example"}},
			{"report", []string{"perhaps"}},
			{"connector", []string{"a", "b"}},
			{"queue", []string{"no-colon"}},
			{"queue", []string{":(bad mail)"}},
			{"queue", []string{":"}},
		} {
			var p problem
			v := form("confirm", "yes", "reason", "test")
			v[f.name] = f.values
			w.post("/queues/remove", 400, v, &p)
			if p.Parameter != f.name || p.Detail == "" || p.Title != "Bad Request" || p.Type != "about:blank" {
				t.Errorf("%v: %+v", f, p)
			}
		}
		w.post("/queues/remove", 400, form("confirm", "yes", "reason", "test"), nil)
		if n := w.stored(); n != 1 {
			t.Errorf("%d messages are left", n)
		}
	})
}

// A body may be JSON. Its size is limited.
func TestBodies(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		w.submit(mail("bob@down.example"))
		for _, test := range []struct {
			kind, body string
			want       int
		}{
			{"application/json", `{"queue":["internet:down.example"],"report":true}`, 200},
			{"application/json; charset=utf-8", `{"connector":"internet","destination":"down.example","report":null}`, 200},
			{"application/json", `{"queue":{"a":1}}`, 400},
			{"application/json", `[]`, 400},
			{"application/json", `{"queue":`, 400},
			{"text/plain", `queue=internet:down.example`, 415},
			{"multipart/form-data", ``, 415},
			{"application/x-www-form-urlencoded", `queue=%zz`, 400},
			{"application/x-www-form-urlencoded", "reason=" + strings.Repeat("x", maxBody), 413},
			{"application/x-www-form-urlencoded", strings.Repeat("queue=a:b&", maxParameters+1), 400},
		} {
			if got := w.sendBody(apiPrefix+"/queues/remove", test.kind, test.body).Code; got != test.want {
				t.Errorf("%s %.60s: %d, want %d", test.kind, test.body, got, test.want)
			}
		}
	})
}

// Requests are limited in number: others are refused at once.
func TestBounds(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		var releases []func()
		for range maxAtOnce[boundNone] {
			release, err := w.console.bounds.take(boundNone)
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, release)
		}
		page := w.page("/queues", http.StatusTooManyRequests)
		if !strings.Contains(page, "Too many requests") {
			t.Error(page)
		}
		for _, release := range releases {
			release()
		}
		w.page("/queues", 200)
	})
}

// The last entries are in memory, and their number is limited.
func TestAuditKeepsTheLastEntries(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		var first, last auditEntry
		x := &call{console: w.console, r: httpGet("/"), access: Access{"oscar", Operator}, route: &route{}}
		for i := range auditKept + 5 {
			last = w.console.audit.begin(x, &plan{Title: "test"})
			if i == 0 {
				first = last
			}
			w.console.audit.end(last, i, nil)
		}
		if _, found := w.console.audit.find(first.ID); found || len(w.console.audit.entries) != auditKept {
			t.Errorf("%d entries, the first is still there: %v", len(w.console.audit.entries), found)
		}
		if e, found := w.console.audit.find(last.ID); !found || e.Count != auditKept+4 || e.Result != "done" {
			t.Errorf("the last one: %+v, %v", e, found)
		}
	})
}

// stored is the number of messages in the queue.
func (w *world) stored() int {
	n := 0
	for _, err := range w.queue.Messages(w.t.Context(), queue.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		n++
	}
	return n
}

func readAudit(t *testing.T, dir string) (all []auditEntry) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "audit*.log"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%v, %v", names, err)
	}
	if info, err := os.Stat(names[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	f, err := os.Open(names[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e auditEntry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// An operator can act while the audit log cannot be written, for example because the
// disk is full: the page Audit and the log of the relay have the action.
func TestActionWithoutTheAuditFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	var lines bytes.Buffer
	inWorld(t, &Console{AuditDir: dir, Logger: slog.New(slog.NewTextHandler(&lines, nil))}, func(w *world) {
		if err := os.WriteFile(dir, nil, 0o600); err != nil { // now it cannot be a folder
			t.Fatal(err)
		}
		w.submit(mail("bob@down.example"))
		w.post("/messages/remove", 200, form("all", "yes", "confirm", "yes", "reason", "the disk is full"), nil)
		if n := w.stored(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
		var v auditView
		w.get("/audit", &v)
		if len(v.Entries) != 1 || v.Entries[0].Result != "done" || v.Entries[0].Reason != "the disk is full" {
			t.Errorf("%+v", v.Entries)
		}
	})
	for _, part := range []string{`reason="the disk is full"`, "audit log of the console"} {
		if !strings.Contains(lines.String(), part) {
			t.Errorf("the log has no %s:\n%s", part, lines.String())
		}
	}
}

// Of confirmations at the same time, each message is counted in one.
func TestConfirmationsAtTheSameTime(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		for range 5 {
			w.submit(mail("bob@down.example"))
		}
		counts := make(chan int)
		for range 20 {
			r := httpPost(apiPrefix+"/messages/remove", "application/x-www-form-urlencoded", form("recipient", "*@down.example", "confirm", "yes", "reason", "test").Encode())
			go func() {
				var got outcome
				if err := json.Unmarshal(w.do(r).Body.Bytes(), &got); err != nil || !got.Done {
					t.Errorf("%+v, %v", got, err)
				}
				counts <- got.Count
			}()
		}
		sum := 0
		for range 20 {
			sum += <-counts
		}
		if sum != 5 || w.stored() != 0 {
			t.Errorf("%d messages were removed, %d are left", sum, w.stored())
		}
	})
}
