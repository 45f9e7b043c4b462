package console

import (
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A suspension has its author and its reason, is listed, and can be lifted.
func TestSuspensions(t *testing.T) {
	inWorld(t, &Console{Authorize: asOperator}, func(w *world) {
		w.token = ""
		events := w.queue.Subscribe(100)
		defer events.Close()
		w.submit(mail("bob@slow.example"))
		hop := form("connector", "internet", "destination", "slow.example", "confirm", "yes", "reason", "maintenance", "until", "2000-01-01T02:00")
		w.post("/queues/suspend", 200, hop, nil)
		w.post("/queues/suspend", 200, form("domain", "spam.example", "confirm", "yes", "reason", "spam"), nil)
		var v suspensionsView
		w.get("/suspensions", &v)
		if v.Total != 2 || v.Suspensions[0].Destination+v.Suspensions[1].Destination != "slow.example" {
			t.Fatalf("%+v", v)
		}
		var q queueView
		w.get("/queues/internet:slow.example", &q)
		if s := q.Suspension; q.Status != "suspended" || s == nil || s.By != "oscar" || s.Reason != "maintenance" || !s.Until.Equal(time.Date(2000, 1, 1, 2, 0, 0, 0, time.UTC)) {
			t.Errorf("%+v", q)
		}
		if page := w.page("/queues/internet:slow.example", 200); !strings.Contains(page, "maintenance") {
			t.Error(page)
		}
		if page := w.page("/suspensions", 200); !strings.Contains(page, "domain spam.example") {
			t.Error(page)
		}
		w.get("/suspensions?limit=1&page=2", &v)
		if len(v.Suspensions) != 1 || v.Next != 0 {
			t.Errorf("the second page: %+v", v)
		}
		w.post("/queues/resume", 200, form("queue", "internet:slow.example", "confirm", "yes", "reason", "repaired"), nil)
		w.post("/queues/resume", 409, form("queue", "internet:slow.example", "confirm", "yes", "reason", "again"), nil)
		w.post("/suspensions/lift", 404, form("domain", "other.example"), nil)
		w.post("/suspensions/lift", 400, form("domain", "spam.example", "destination", "x"), nil)
		w.post("/suspensions/lift", 200, form("domain", "spam.example", "confirm", "yes", "reason", "over"), nil)
		if all, err := w.queue.Suspensions(w.t.Context()); err != nil || len(all) != 0 {
			t.Errorf("%v, %v", all, err)
		}
		// The events of the queue say who did it and why.
		events.Close()
		reasons := ""
		for e := range events.C {
			if e.Kind == queue.EventOperation && e.By == "oscar" {
				reasons += " " + e.Reason
			}
		}
		if reasons != " maintenance spam repaired over" {
			t.Errorf("events: %q", reasons)
		}
	})
}

// The queues can be filtered, sorted and read in pages.
func TestQueues(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		for _, to := range []string{"a@down.example", "b@slow.example", "c@slow.example", "d@ok.example"} {
			w.submit(mail(to))
			time.Sleep(time.Second)
		}
		for query, want := range map[string]string{
			"":                                    "down.example ok.example slow.example ",
			"destination=*o*.example":             "down.example ok.example slow.example ",
			"destination=ok.*":                    "ok.example ",
			"connector=other":                     "",
			"status=retry":                        "down.example ",
			"sort=messages":                       "slow.example down.example ok.example ",
			"sort=oldest":                         "down.example slow.example ok.example ",
			"limit=1&sort=oldest":                 "down.example ",
			"limit=2&after=internet:down.example": "ok.example slow.example ",
		} {
			var v queuesView
			w.get("/queues?"+query, &v)
			got := ""
			for _, q := range v.Queues {
				got += q.Destination + " "
			}
			if got != want {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
			if (v.Next != "") != strings.HasPrefix(query, "limit=1") {
				t.Errorf("%s: next is %q", query, v.Next)
			}
		}
		for _, wrong := range []string{"status=none", "sort=colour", "limit=0x", "limit=1001"} {
			w.page("/queues?"+wrong, 400)
		}
		var o overview
		w.get("/overview", &o)
		if o.Hostname != "relay.example.com" || !o.Health.OK || o.Totals.Messages != 3 || o.Totals.Accepted != 4 || o.Totals.Delivered != 1 || len(o.Retry) != 1 || o.Largest[0].Destination != "slow.example" {
			t.Errorf("%+v", o)
		}
	})
}
