package console

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

// writeTracking writes a tracking log with one delivered message per minute,
// m0 to m(n-1), and returns its folder.
func writeTracking(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("#Software: Bridgehead\n#Fields: x\n")
	for i := range n {
		for s, event := range []string{"192.0.2.1,pc,,relay.example.com,,edge,SMTP,RECEIVE", ",relay.example.com,192.0.2.2:25,mx.example.net,,edge,SMTP,SEND"} {
			fmt.Fprintf(&b, "2026-11-21T00:%02d:%02d.000Z,%s,m%d,<%d@example.com>,bob%d@example.net,250 ok,512,1,,,Invoice %d,alice%d@example.com,<alice%d@example.com>,event=1019,Incoming,tenant=red\n",
				i, s, event, i, i, i, i, i, i)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "MSGTRK20261121-1.log"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The page Tracking finds entries by each of its fields, the newest first.
func TestTrackingSearch(t *testing.T) {
	dir := writeTracking(t, 10)
	inWorld(t, &Console{}, func(w *world) {
		w.console.Gateway.Tracking = &tracking.Log{Dir: dir}
		defer func() { w.console.Gateway.Tracking = nil }()
		for query, want := range map[string]string{
			"sender=alice3@example.com":                         "m3 SEND, m3 RECEIVE",
			"recipient=bob4*":                                   "m4 SEND, m4 RECEIVE",
			"message-id=5@example.com":                          "m5 SEND, m5 RECEIVE",
			"subject=*ice+6":                                    "m6 SEND, m6 RECEIVE",
			"id=m7":                                             "m7 SEND, m7 RECEIVE",
			"event=send&id=m7":                                  "m7 SEND",
			"event=RECEIVE&since=2026-11-21T00:08":              "m9 RECEIVE, m8 RECEIVE",
			"event=RECEIVE&until=2026-11-21T00:01":              "m1 RECEIVE, m0 RECEIVE",
			"sender=alice3@example.com&recipient=bob4@example*": "",
			"limit=2": "m9 SEND, m9 RECEIVE",
		} {
			var v trackingView
			w.get("/tracking?"+query, &v)
			if got := entriesOf(v.Entries); got != want || !v.Log || v.Complete == (query == "limit=2") {
				t.Errorf("%s: %q, want %q; complete %t", query, got, want, v.Complete)
			}
		}
		var v trackingView
		w.get("/tracking?id=m7&event=SEND", &v)
		e := v.Entries[0]
		if e.Sender != "alice7@example.com" || e.Recipients[0] != "bob7@example.net" || e.MessageID != "<7@example.com>" || e.Subject != "Invoice 7" || e.Reply != "250 ok" || e.Host != "mx.example.net" ||
			e.Address != "192.0.2.2:25" || e.Connector != "edge" || e.Size != "512" || e.Labels["tenant"] != "red" || e.Source != "SMTP" {
			t.Errorf("%+v", e)
		}
		page := w.page("/tracking?id=m7", 200)
		for _, part := range []string{`href="./tracking/m7"`, "Invoice 7", "bob7@example.net", "250 ok", "mx.example.net", "BADMAILREMOVED"} {
			if !strings.Contains(page, part) {
				t.Errorf("the page has no %q", part)
			}
		}
		if page := w.page("/tracking?id=none", 200); !strings.Contains(page, "No entry matches.") {
			t.Error(page)
		}
		for _, query := range []string{"limit=1001", "since=yesterday", "since=2026-11-21&until=2026-11-20", "cursor=x", "cursor=n20261121-1.999999", "client=x"} {
			w.page("/tracking?"+query, 400)
		}
	})
}

func entriesOf(rows []trackingRow) string {
	var all []string
	for _, r := range rows {
		all = append(all, r.ID+" "+r.Event)
	}
	return strings.Join(all, ", ")
}

// The pages together have each entry once. The link to the next page keeps the
// filter.
func TestTrackingPages(t *testing.T) {
	dir := writeTracking(t, 10)
	inWorld(t, &Console{}, func(w *world) {
		w.console.Gateway.Tracking = &tracking.Log{Dir: dir}
		defer func() { w.console.Gateway.Tracking = nil }()
		var got []string
		cursor := ""
		for range 5 {
			var v trackingView
			w.get("/tracking?event=SEND&limit=3&cursor="+url.QueryEscape(cursor), &v)
			got = append(got, entriesOf(v.Entries))
			if cursor = v.Next; v.Complete {
				break
			}
		}
		if all := strings.Join(got, ", "); all != "m9 SEND, m8 SEND, m7 SEND, m6 SEND, m5 SEND, m4 SEND, m3 SEND, m2 SEND, m1 SEND, m0 SEND" || cursor != "" {
			t.Errorf("%s, cursor %q", all, cursor)
		}
		text := w.page("/tracking?event=SEND&limit=3", 200)
		if !strings.Contains(text, "Next page") || !strings.Contains(text, "/tracking?cursor=n20261121-1.") || !strings.Contains(text, "&amp;event=SEND") {
			t.Error(text)
		}
		// A search that has read enough, and has found nothing yet.
		x := &call{console: w.console, r: httpGet("/tracking"), path: "/tracking", base: "./", access: Access{Role: Operator}}
		var b strings.Builder
		if err := w.console.pages.write(&b, "tracking.html", &page{call: x, View: &trackingView{Log: true, Next: "n1", Examined: 64 << 20}}); err != nil {
			t.Fatal(err)
		}
		if text := b.String(); !strings.Contains(text, "No entry matches in the 64.0 MiB that were read.") || !strings.Contains(text, "Continue the search") {
			t.Error(text)
		}
	})
}

// A message that has left the queue has a timeline, with the report about it.
func TestTimelineOfAMessageThatIsGone(t *testing.T) {
	dir := t.TempDir()
	inWorld(t, &Console{}, func(w *world) {
		defer w.track(dir)()
		m := w.submit(mail("bob@ok.example"))
		failed := w.submit(mail("bob@slow.example"))
		time.Sleep(time.Second)
		var o outcome
		w.post("/messages/expire", 200, form("id", failed.ID, "confirm", "yes", "reason", "the test"), &o)
		time.Sleep(time.Second)
		var v timelineView
		w.get("/tracking/"+m.ID, &v)
		if got := entriesOf(v.Entries); got != m.ID+" RECEIVE, "+m.ID+" SEND" || v.InQueue || !v.Complete {
			t.Errorf("%q %+v", got, v)
		}
		w.page("/messages/"+m.ID, 404)
		page := w.page("/tracking/"+m.ID, 200)
		for _, part := range []string{"The message is not in the queue.", "SEND", "bob@ok.example", "Lunch", "alice@example.com"} {
			if !strings.Contains(page, part) {
				t.Errorf("the page has no %q", part)
			}
		}
		w.get("/tracking/"+failed.ID, &v)
		report := ""
		for _, e := range v.Entries {
			if e.Event == "DSN" {
				report = e.Reference
			}
		}
		if report == "" {
			t.Fatalf("no report in %s", entriesOf(v.Entries))
		}
		if page := w.page("/tracking/"+failed.ID, 200); !strings.Contains(page, `href="../tracking/`+report+`"`) || !strings.Contains(page, "of <a") {
			t.Error(page)
		}
		waits := w.submit(mail("bob@down.example"))
		w.get("/tracking/"+waits.ID, &v)
		if page := w.page("/tracking/"+waits.ID, 200); !v.InQueue || !strings.Contains(page, `href="../messages/`+waits.ID+`"`) {
			t.Error(page)
		}
		w.page("/tracking/none", 404)
		w.page("/tracking/not%20an%20ID", 404)
	})
}

// Without a tracking log, the pages say so. A log that has no folder yet is empty.
func TestTrackingWithoutLog(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		if page := w.page("/tracking", 200); !strings.Contains(page, "The relay has no message tracking log.") {
			t.Error(page)
		}
		w.page("/tracking/none", 404)
		w.console.Gateway.Tracking = &tracking.Log{Dir: filepath.Join(t.TempDir(), "none")}
		defer func() { w.console.Gateway.Tracking = nil }()
		if page := w.page("/tracking", 200); !strings.Contains(page, "No entry matches.") {
			t.Error(page)
		}
	})
}

// Viewers see no labels, and no subjects if they are hidden; nor can they search
// for subjects.
func TestTrackingForViewers(t *testing.T) {
	dir := writeTracking(t, 2)
	for hide, want := range map[bool]string{false: "Invoice 1", true: ""} {
		inWorld(t, &Console{Authorize: asViewer, HideSubjects: hide}, func(w *world) {
			w.token = ""
			w.console.Gateway.Tracking = &tracking.Log{Dir: dir}
			defer func() { w.console.Gateway.Tracking = nil }()
			var v trackingView
			w.get("/tracking?id=m1", &v)
			var one timelineView
			w.get("/tracking/m1", &one)
			for _, e := range append(v.Entries, one.Entries...) {
				if e.Subject != want || e.Labels != nil {
					t.Errorf("hidden %t: %+v", hide, e)
				}
			}
			if page := w.page("/tracking", 200) + w.page("/tracking/m1", 200); strings.Contains(page, "Invoice") == hide || strings.Contains(page, "red") {
				t.Errorf("hidden %t: %s", hide, page)
			}
			w.page("/tracking?subject=Inv*", map[bool]int{false: 200, true: 403}[hide])
			if hide {
				w.page("/tracking?subject=other*", 403)
			}
		})
	}
}

// The page of a message explains the next step of each recipient that waits, and
// links to the tracking log.
func TestMessageLinks(t *testing.T) {
	dir := t.TempDir()
	inWorld(t, &Console{}, func(w *world) {
		defer w.track(dir)()
		m := mail("bob@slow.example", "carol@ok.example")
		m.Origin = queue.Origin{Connector: "inbound", ClientAddr: "198.51.100.7", Identity: "alice"}
		m.From = "alice+x@example.com"
		w.submit(m)
		time.Sleep(time.Second)
		page := w.page("/messages/"+m.ID, 200)
		want := `href="../explain?client=198.51.100.7&amp;connector=inbound&amp;from=alice%2Bx%40example.com&amp;identity=alice&amp;size=` + fmt.Sprint(m.Content.Size()) + `&amp;to=bob%40slow.example"`
		if !strings.Contains(page, want) || strings.Contains(page, "to=carol") || !strings.Contains(page, `href="../tracking/`+m.ID+`"`) {
			t.Errorf("want %s in\n%s", want, page)
		}
	})
}
