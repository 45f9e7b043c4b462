package console

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// reputation gives the relay receive connectors that share a Reputation.
func (w *world) reputation(connectors ...string) *policy.Reputation {
	w.t.Helper()
	r := new(policy.Reputation)
	for _, name := range connectors {
		srv := &smtpserver.Server{Name: name}
		gate := &policy.Gate{Queue: w.queue, Reputation: r, Domains: []policy.Domain{{Name: "example.com"}}}
		if err := gate.Install(srv); err != nil {
			w.t.Fatal(err)
		}
		w.console.Gateway.Servers = append(w.console.Gateway.Servers, srv)
	}
	return r
}

// The clients that the relay refuses because of their reputation are listed. An operator
// ends a block, and the audit log records it.
func TestBlocks(t *testing.T) {
	inWorld(t, &Console{Authorize: asOperator}, func(w *world) {
		w.token = ""
		var v blocksView
		if w.get("/blocks", &v); v.Enabled || len(v.Blocks) != 0 {
			t.Errorf("without a Reputation: %+v", v)
		}
		if page := w.page("/blocks", 200); !strings.Contains(page, "No receive connector observes") {
			t.Error(page)
		}
		r, other := w.reputation("internet", "partner"), w.reputation("submission")
		if w.get("/blocks", &v); !v.Enabled {
			t.Errorf("without blocks: %+v", v)
		}
		ends := time.Now().Add(time.Hour)
		for _, ip := range []string{"203.0.113.9", "192.0.2.66", "2001:db8::1"} {
			r.Block(netip.MustParseAddr(ip), time.Hour)
		}
		other.Block(netip.MustParseAddr("192.0.2.66"), 2*time.Hour)
		list := func(query string) (got string) {
			w.get("/blocks"+query, &v)
			for _, b := range v.Blocks {
				got += b.Network + " " + strings.Join(b.Receivers, "+") + "; "
			}
			return got
		}
		all := "192.0.2.66 internet+partner; 192.0.2.66 submission; 203.0.113.9 internet+partner; 2001:db8::/64 internet+partner; "
		if got := list(""); got != all || v.Total != 4 || !v.Blocks[0].Until.Equal(ends) {
			t.Errorf("%s, %+v", got, v)
		}
		for query, want := range map[string]string{
			"?limit=1&page=3":              "203.0.113.9 internet+partner; ",
			"?address=203.0.113.0/24":      "203.0.113.9 internet+partner; ",
			"?address=2001:db8::abc":       "2001:db8::/64 internet+partner; ",
			"?address=2001:db8:0:0:1::/80": "2001:db8::/64 internet+partner; ",
			"?address=198.51.100.1":        "",
		} {
			if got := list(query); got != want {
				t.Errorf("%s: %s", query, got)
			}
		}
		w.page("/blocks?address=x", 400)
		w.page("/blocks?page=-1", 400)
		if page := w.page("/blocks", 200); !strings.Contains(page, `aria-label="Unblock 2001:db8::/64"`) || !strings.Contains(page, "4 blocks") {
			t.Error(page)
		}
		var o outcome
		w.post("/blocks/unblock", 200, form("address", "192.0.2.66"), &o)
		if o.Done || o.Count != 2 || o.Action != "Unblock 192.0.2.66" || list("") != all {
			t.Errorf("%+v", o)
		}
		w.post("/blocks/unblock", 200, form("address", "192.0.2.66", "confirm", "yes", "reason", "their server is repaired"), &o)
		w.post("/blocks/unblock", 200, form("address", "2001:db8::/64", "confirm", "yes", "reason", "the same"), nil)
		if !o.Done || o.Count != 2 || list("") != "203.0.113.9 internet+partner; " {
			t.Errorf("%+v, %+v", o, v)
		}
		var log auditView
		w.get("/audit", &log)
		if e := log.Entries[len(log.Entries)-1]; e.Action != "Unblock 192.0.2.66" || e.Name != "oscar" || e.Reason != "their server is repaired" || e.Result != "done" {
			t.Errorf("%+v", e)
		}
		w.post("/blocks/unblock", 404, form("address", "192.0.2.66"), nil)
		w.post("/blocks/unblock", 400, form("address", ""), nil)
		w.post("/blocks/unblock", 400, form("address", "<b>"), nil)
		time.Sleep(2 * time.Hour) // the last block ends by itself
		if got := list(""); got != "" || v.Total != 0 {
			t.Errorf("%s", got)
		}
	})
	inWorld(t, &Console{Authorize: asViewer}, func(w *world) {
		w.token = ""
		w.reputation("internet").Block(netip.MustParseAddr("192.0.2.66"), time.Hour)
		if page := w.page("/blocks", 200); !strings.Contains(page, "192.0.2.66") || strings.Contains(page, "<button aria-label=\"Unblock") {
			t.Error(page)
		}
		w.post("/blocks/unblock", 403, form("address", "192.0.2.66", "confirm", "yes", "reason", "x"), nil)
	})
}
