package console

import (
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

const tracedContent = "Received: from mail.example.org (mail.example.org [198.51.100.7])\r\n by relay.example.com with ESMTPS id 1;\r\n Sat, 28 Nov 2026 22:00:00 +0000\r\n" +
	"Received: from laptop ([10.0.0.1]) by mail.example.org with ESMTPSA; Sat, 28 Nov 2026 21:58:00 +0000\r\n" +
	"From: alice@example.com\r\nMessage-ID: <1@example.com>\r\nSubject: Lunch\r\n\r\nAt noon? The code word is swordfish.\r\n"

// The page of a message has its recipients with their replies, the hosts that
// have handled it, and what happened to it.
func TestMessagePage(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		m := mail("bob@slow.example", "carol@ok.example")
		m.Content = queue.String(tracedContent)
		m.Origin = queue.Origin{Connector: "inbound", ClientAddr: "198.51.100.7", ClientHelo: "mail.example.org", Identity: "alice", Protocol: "ESMTPSA"}
		w.submit(m)
		var v messageView
		w.get("/messages/"+m.ID, &v)
		if v.Sender != "alice@example.com" || v.Subject != "Lunch" || v.MessageID != "<1@example.com>" || v.Client != "198.51.100.7" || v.Identity != "alice" || v.Status != "retry" {
			t.Errorf("%+v", v)
		}
		if len(v.States) != 2 || v.States[0].Status != "waiting" || v.States[0].Reply != "452 4.2.2 Mailbox full" || v.States[0].Host != "mx.slow.example" || v.States[0].Attempts != 1 ||
			v.States[1].Status != "delivered" || !v.States[1].NextAttempt.IsZero() {
			t.Errorf("recipients: %+v", v.States)
		}
		if len(v.Queues) != 1 || v.Queues[0].Key != "internet:slow.example" || len(v.Recipients) != 1 || v.Count != 2 {
			t.Errorf("%+v", v)
		}
		if len(v.Hops) != 2 || v.Hops[0].By != "mail.example.org" || v.Hops[1].By != "relay.example.com" || v.Hops[1].Delay == nil || *v.Hops[1].Delay != 120 {
			t.Errorf("hops: %+v", v.Hops)
		}
		page := w.page("/messages/"+m.ID, 200)
		for _, part := range []string{"Mailbox full", "2 min", "mail.example.org", "198.51.100.7", "Lunch", "slow.example"} {
			if !strings.Contains(page, part) {
				t.Errorf("the page has no %q", part)
			}
		}
		w.page("/messages/none", 404)
		w.page("/messages/not%20an%20ID", 404)
	})
}

// The timeline is that of the tracking log.
func TestTimeline(t *testing.T) {
	log := &tracking.Log{Dir: t.TempDir()}
	inWorld(t, &Console{}, func(w *world) {
		w.console.Gateway.Tracking = log // the page reads it; the test writes it
		events := w.queue.Subscribe(0)
		written := make(chan error)
		go func() { written <- log.Write(events) }()
		m := w.submit(mail("bob@slow.example"))
		time.Sleep(time.Second) // Write has written
		var v messageView
		w.get("/messages/"+m.ID, &v)
		if len(v.Timeline) != 2 || v.Timeline[0].Event != "RECEIVE" || v.Timeline[1].Event != "DEFER" || !v.TimelineOK ||
			!strings.Contains(v.Timeline[1].Reply, "Mailbox full") || v.Timeline[1].Host != "mx.slow.example" || v.Timeline[1].Recipients[0] != "bob@slow.example" {
			t.Errorf("%+v", v.Timeline)
		}
		if page := w.page("/messages/"+m.ID, 200); !strings.Contains(page, "DEFER") {
			t.Error("the page has no timeline")
		}
		events.Close()
		if err := <-written; err != nil {
			t.Error(err)
		}
		w.console.Gateway.Tracking = nil
	})
}

// The filters of the messages can be combined, and pages follow each other.
func TestMessages(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		ids := map[string]string{}
		for _, to := range []string{"a@down.example", "b@down.example", "c@slow.example", "d@slow.example", "e@slow.example"} {
			m := mail(to)
			m.From = to[:1] + "@sender.example"
			m.Origin.ClientAddr = "192.0.2." + to[:1]
			if to[:1] == "a" {
				m.Options.Labels = map[string]string{"tenant": "acme"}
			}
			ids[w.submit(m).ID] = to[:1]
			time.Sleep(time.Minute)
		}
		for query, want := range map[string]string{
			"":                            "abcde",
			"recipient=*@down.example":    "ab",
			"recipient=C@SLOW.EXAMPLE":    "c",
			"sender=d@*&recipient=*slow*": "d",
			"sender=d@*&recipient=*down*": "",
			"status=suspended":            "",
			"destination=slow.example&connector=internet": "cde",
			"queue=internet:down.example":                 "ab",
			"queue=:down.example":                         "",
			"subject=lun*":                                "abcde",
			"subject=dinner":                              "",
			"label=tenant=ac*":                            "a",
			"client=192.0.2.e":                            "e",
			"min-size=10000":                              "",
			"max-size=10000":                              "abcde",
			"since=2000-01-01T00:02:00Z":                  "cde",
			"before=2000-01-01T00:02":                     "ab",
			"limit=2":                                     "ab",
		} {
			var v messagesView
			w.get("/messages?"+query, &v)
			got := ""
			for _, m := range v.Messages {
				got += ids[m.ID]
			}
			if got != want {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
			if query == "limit=2" {
				if v.Next == "" || v.Complete {
					t.Errorf("no next page: %+v", v)
				}
				var next messagesView
				w.get("/messages?limit=10&after="+v.Next, &next)
				if len(next.Messages) != 3 || next.Next != "" || !next.Complete {
					t.Errorf("the next page: %+v", next)
				}
			}
			w.page("/messages?"+query, 200)
		}
		for _, query := range []string{"limit=1001", "limit=-1", "status=none", "since=yesterday", "min-size=x", "connector=internet", "label=x", "queue=x", "sendr=x"} {
			w.page("/messages?"+query, 400)
		}
	})
}

// An action concerns the selected messages, or those of the filter, and never all
// messages by mistake.
func TestActionsOnMessages(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		a, b, c := w.submit(mail("a@down.example")), w.submit(mail("b@down.example")), w.submit(mail("c@slow.example"))
		status := func(m *queue.Message) string {
			info, err := w.queue.Message(w.t.Context(), m.ID)
			if err != nil {
				return err.Error()
			}
			return info.Status.String()
		}
		var got outcome
		w.post("/messages/suspend", 200, form("id", a.ID, "id", b.ID), &got)
		if got.Count != 2 || got.Done || status(a) == "suspended" {
			t.Errorf("%+v, %s", got, status(a))
		}
		w.post("/messages/suspend", 200, form("id", a.ID, "confirm", "yes", "reason", "test"), &got)
		if got.Count != 1 || !got.Done || status(a) != "suspended" || status(b) == "suspended" {
			t.Errorf("%+v: %s, %s", got, status(a), status(b))
		}
		w.post("/messages/resume", 200, form("recipient", "*@down.example"), &got)
		if got.Count != 1 { // b is not suspended
			t.Errorf("%+v", got)
		}
		w.post("/messages/resume", 200, form("recipient", "*@down.example", "confirm", "yes", "reason", "test"), &got)
		if got.Count != 1 || status(a) == "suspended" {
			t.Errorf("%+v: %s", got, status(a))
		}
		for _, path := range []string{"suspend", "resume", "retry", "resubmit", "redirect", "expire", "remove"} {
			w.post("/messages/"+path, 400, form("confirm", "yes", "reason", "test"), nil)
			w.post("/messages/"+path, 400, form("confirm", "yes", "reason", "test", "label", ""), nil)
		}
		w.post("/messages/redirect", 400, form("id", c.ID, "confirm", "yes", "reason", "test"), nil) // no next hop
		w.post("/messages/redirect", 200, form("id", c.ID, "confirm", "yes", "reason", "test", "to-destination", "ok.example"), &got)
		if got.Count != 1 || status(c) != queue.ErrNotFound.Error() {
			t.Errorf("%+v: %s", got, status(c))
		}
		w.post("/messages/remove", 200, form("all", "yes", "confirm", "yes", "reason", "test"), &got)
		if got.Count != 2 || w.stored() != 0 {
			t.Errorf("%+v, %d left", got, w.stored())
		}
		w.post("/messages/remove", 404, form("id", a.ID), nil)
	})
}

// The confirmation of a browser concerns the messages that were counted: those
// that arrive later are not touched.
func TestConfirmationIsAboutTheCountedMessages(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		w.submit(mail("a@slow.example"))
		time.Sleep(time.Second)
		page := w.sendPage("/messages/remove", form("recipient", "*@slow.example")).Body.String()
		_, after, found := strings.Cut(page, `name="before" value="`)
		before, _, _ := strings.Cut(after, `"`)
		if !found || !strings.Contains(page, "<strong>1</strong> message") {
			t.Fatal(page)
		}
		time.Sleep(time.Second)
		later := w.submit(mail("b@slow.example"))
		w.sendPage("/messages/remove", form("recipient", "*@slow.example", "before", before, "confirm", "yes", "reason", "test"))
		if _, err := w.queue.Message(w.t.Context(), later.ID); err != nil || w.stored() != 1 {
			t.Errorf("%v, %d left", err, w.stored())
		}
	})
}

// An operator reads the content of a message. With the envelope it can be
// exported only while it is suspended.
func TestContent(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		m := mail("bob@slow.example")
		m.Content = queue.String(tracedContent)
		w.submit(m)
		get := func(query string) (int, string, string) {
			answer := w.do(httpGet("/messages/" + m.ID + "/content" + query))
			return answer.Code, answer.Body.String(), answer.Header().Get("Content-Disposition")
		}
		if code, body, name := get(""); code != 200 || body != tracedContent || name != `attachment; filename="`+m.ID+`.eml"` {
			t.Errorf("%d %q\n%s", code, name, body)
		}
		if code, _, _ := get("?envelope=yes"); code != 409 {
			t.Errorf("the envelope of a message that is not suspended: %d", code)
		}
		w.post("/messages/suspend", 200, form("id", m.ID, "confirm", "yes", "reason", "test"), nil)
		if code, body, _ := get("?envelope=yes"); code != 200 || !strings.HasPrefix(body, "X-Sender: <alice@example.com>") || !strings.HasSuffix(body, tracedContent) {
			t.Errorf("%d\n%s", code, body)
		}
	})
}
