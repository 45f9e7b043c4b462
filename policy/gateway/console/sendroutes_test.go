package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// inRouted runs f with a relay that has a routing.Router and a tracking log. Its
// receive connector "internet" accepts mail for example.com and *.lists.example.
func inRouted(t *testing.T, c *Console, f func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { // 2000-01-01 00:00 UTC
		office, err := routing.ParseSchedule("08:00-18:00", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		discard := routing.TransportFunc(func(_ context.Context, j *routing.Job) []queue.Result {
			return slices.Repeat([]queue.Result{{Outcome: queue.Success}}, len(j.Recipients))
		})
		dns, err := dnstest.InMemory("example.com. MX 10 relay.example.com.\nrelay.example.com. A 192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		defer dns.Close()
		resolver := &routing.DNSResolver{Servers: []string{"ns"}, Dial: dns.Dial}
		domains := []policy.Domain{{Name: "Example.com", SmartHosts: []string{"mail.example.com"}, Default: true}, {Name: "*.lists.example", Kind: policy.InternalRelay, Connector: "world"}}
		table, err := routing.Site{Accepted: policy.Destinations(domains...)}.NewTable(
			routing.Connector{Name: "partner", Spaces: []string{"*.partner.example;5"}, SmartHosts: routing.SmartHosts("[192.0.2.7]"), Auth: smtpclient.PasswordAuth("relay", "secret"),
				Scope: routing.Scope{Identities: []string{"account-of-app"}}},
			routing.Connector{Name: "office<b>", Spaces: []string{"office.example"}, Schedule: office, Hold: true, HoldAccounts: []string{"account-of-etrn"}, Transport: discard},
			routing.Connector{Name: "world", Spaces: []string{"*;9"}, Transport: discard})
		if err != nil {
			t.Fatal(err)
		}
		router := &routing.Router{Table: table, NewTransport: func(string) *smtpclient.Transport {
			return &smtpclient.Transport{DialContext: noNetwork}
		}}
		q := &queue.Queue{Store: &memory.Store{}, Deliverer: router}
		srv := &smtpserver.Server{Name: "internet"}
		gate := &policy.Gate{Queue: q, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Domains: domains}
		if err := gate.Install(srv); err != nil {
			t.Fatal(err)
		}
		relay := &gateway.Gateway{Hostname: "relay.example.com", Queue: q, Servers: []*smtpserver.Server{srv}, Resolver: resolver, MemoryLimit: 64 << 20,
			Tracking: &tracking.Log{Dir: dir}}
		if c.Candidate == nil {
			changed, err := routing.NewTable(routing.Connector{Name: "new", Spaces: []string{"*"}, Transport: discard})
			if err != nil {
				t.Fatal(err)
			}
			c.Candidate = func(context.Context) (*compare.Candidate, error) {
				return &compare.Candidate{Name: "candidate.yaml", Table: changed}, nil
			}
		}
		c.Gateway, c.Print = relay, func(string) {}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- relay.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			router.Close()
		}()
		select {
		case <-relay.Ready():
		case err := <-ended:
			ended <- nil
			t.Error(err)
			return
		}
		if err := c.setup(); err != nil {
			t.Error(err)
			return
		}
		f(&world{t, c, q, c.token.secret, nil})
	})
}

// noNetwork fails as a host that cannot be reached.
func noNetwork(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no network in this test")
}

// The page Connectors has each connector, with its schedule and no secret. Only
// operators see account names.
func TestConnectors(t *testing.T) {
	inRouted(t, &Console{}, func(w *world) {
		page := w.page("/connectors", 200)
		for _, want := range []string{"*.partner.example", "cost 5", "[192.0.2.7]", "with authentication", "08:00-18:00 (UTC)", "closed", "2000-01-01 08:00:00",
			"office&lt;b&gt;", "account-of-app", "account-of-etrn", "What would change", "Probe the hosts"} {
			if !strings.Contains(page, want) {
				t.Errorf("%q is missing", want)
			}
		}
		if strings.Contains(page, "secret") || strings.Contains(page, "office<b>") {
			t.Error("a secret or markup")
		}
		var v connectorsView
		w.get("/connectors", &v)
		if len(v.Connectors) != 4 || !v.Connectors[0].Auth || v.Connectors[1].Schedule.Open || !v.Routing || !v.Candidate {
			t.Errorf("%+v", v)
		}
	})
	inRouted(t, &Console{Authorize: asViewer}, func(w *world) {
		w.token = ""
		if page := w.page("/connectors", 200); strings.Contains(page, "account-of") || strings.Contains(page, "Probe the hosts") || strings.Contains(page, "What would change") {
			t.Error(page)
		}
		var v connectorsView
		w.get("/connectors", &v)
		if v.Connectors[1].HoldAccounts != nil || v.Connectors[0].Scope.Identities != nil {
			t.Errorf("%+v", v)
		}
		for _, path := range []string{"/probe", "/compare", "/check"} {
			w.post(path, 403, form("to", "a@example.net"), nil)
		}
		w.page("/check", 403)
	})
	inWorld(t, &Console{}, func(w *world) { // the Deliverer is not a routing.Router
		if page := w.page("/connectors", 200); !strings.Contains(page, "no routing table that can be shown") {
			t.Error(page)
		}
		w.page("/explain?to=a@example.net", 409)
		w.post("/probe", 409, form("to", "a@example.net"), nil)
		w.post("/compare", 404, form(), nil)
	})
}

// The page Explain says why a connector is chosen. Text from the form is inert.
func TestExplain(t *testing.T) {
	inRouted(t, &Console{}, func(w *world) {
		page := w.page("/explain?to=bob@mail.partner.example&from=%3C%3E&size=100&priority=2&identity=account-of-app", 200)
		for _, want := range []string{"The connector partner takes the message: its address space *.partner.example;5 is the most specific one", "less specific than *.partner.example;5", `value="bob@mail.partner.example"`} {
			if !strings.Contains(page, want) {
				t.Errorf("%q is missing in\n%s", want, page)
			}
		}
		var v explainView
		w.get("/explain?to=bob@office.example", &v)
		if e := v.Explanation; e.Outcome != site.Waits || e.Connector != "office<b>" {
			t.Errorf("%+v", e)
		}
		w.get("/explain", &explainView{})
		evil := url.QueryEscape("<script>x</script>\x1b[31m\u202e@b\xff")
		page = w.page("/explain?to="+evil+"&hosts=yes", 200)
		_, result, _ := strings.Cut(page, "</form>\n\n<h2>") // the form has what was typed in
		if strings.Contains(page, "<script>x") || result == "" || strings.ContainsAny(result, "\x1b\u202e") {
			t.Errorf("%q", page)
		}
		for _, query := range []string{"to=a@b&size=-1", "to=a@b&size=x", "to=a@b&priority=10", "to=" + strings.Repeat("a", 2000), "to=a@b&recipient=a", "to=a@b&to=c@d", "to=a@b&hosts=maybe"} {
			w.page("/explain?"+query, 400)
		}
	})
}

// A probe needs a POST, connects to the hosts of the route, and is in the audit log.
func TestProbe(t *testing.T) {
	inRouted(t, &Console{}, func(w *world) {
		w.page("/probe?to=a@x.partner.example", 405)
		var v explainView
		w.post("/probe", 200, form("to", "a@x.partner.example", "identity", "account-of-app", "reason", "the partner is slow"), &v)
		if p := v.Explanation.Probes; len(p) != 1 || p[0].Addr != "192.0.2.7:25" || !strings.Contains(p[0].Problem, "no network in this test") {
			t.Errorf("%+v", v.Explanation)
		}
		if page := w.sendPage("/probe", form("to", "a@x.partner.example", "identity", "account-of-app")).Body.String(); !strings.Contains(page, "no network in this test") || !strings.Contains(page, "0 of 1 addresses can be used") {
			t.Error(page)
		}
		var log auditView
		w.get("/audit", &log)
		if e := log.Entries[1]; len(log.Entries) != 2 || e.Action != "Probe the hosts of a route" || e.Reason != "the partner is slow" || e.Result != "done" || e.Parameters["to"][0] != "a@x.partner.example" {
			t.Errorf("%+v", log)
		}
		w.post("/probe", 400, form("size", "1"), nil)
	})
}

// A comparison shows which mail of the tracking log would take another route.
func TestCompareCandidate(t *testing.T) {
	inRouted(t, &Console{}, func(w *world) {
		m := mail("bob@example.net")
		m.From, m.Options.UTF8 = "\"<script>\u202e\"@example.org", true
		w.submit(m)
		w.submit(mail("carol@example.net"))
		time.Sleep(2 * time.Second) // the log is written
		var r compare.Result
		w.post("/compare", 200, form(), &r)
		if r.Candidate != "candidate.yaml" || r.Messages != 2 || len(r.Domains) != 1 || r.Domains[0].Name != "example.net" || r.Domains[0].Changes[0].Kind != compare.Rerouted ||
			r.Domains[0].Changes[0].Recipients != 2 || r.Domains[0].Changes[0].After.Connector != "new" {
			t.Errorf("%+v", r)
		}
		page := w.sendPage("/compare", form()).Body.String()
		for _, want := range []string{"candidate.yaml", "would take another route", "sent via world", "sent via new", "bob@example.net", `&lt;script&gt;\u202E`} {
			if !strings.Contains(page, want) {
				t.Errorf("%q is missing in\n%s", want, page)
			}
		}
		w.post("/compare", 200, form("since", "2000-01-02T00:00"), &r)
		if r.Lines != 0 {
			t.Errorf("%+v", r)
		}
		w.post("/compare", 400, form("since", "2000-01-02T00:00", "until", "2000-01-01"), nil)
		w.post("/compare", 400, form("since", "yesterday"), nil)
		w.page("/compare", 405)
	})
	for _, c := range []struct {
		candidate *compare.Candidate
		err       error
		want      int
	}{{nil, nil, 404}, {nil, errors.New("candidate.yaml: line 3"), 409}} {
		inRouted(t, &Console{Candidate: func(context.Context) (*compare.Candidate, error) { return c.candidate, c.err }}, func(w *world) {
			var p problem
			w.post("/compare", c.want, form(), &p)
			if c.err != nil && !strings.Contains(p.Detail, "candidate.yaml: line 3") {
				t.Errorf("%+v", p)
			}
		})
	}
}

// The page Domains has the accepted domains, with their roles and destinations.
func TestDomains(t *testing.T) {
	inRouted(t, &Console{}, func(w *world) {
		var v domainsView
		w.get("/domains", &v)
		if len(v.Domains) != 2 || v.Total != 2 {
			t.Fatalf("%+v", v)
		}
		if d := v.Domains[1]; d.Name != "example.com" || d.Kind != "authoritative" || !d.Default || d.Directory || fmt.Sprint(d.SmartHosts, d.Receivers) != "[mail.example.com] [internet]" {
			t.Errorf("%+v", d)
		}
		if page := w.page("/domains", 200); !strings.Contains(page, "internal relay") || !strings.Contains(page, "connector world") || !strings.Contains(page, "all are accepted") {
			t.Error(page)
		}
		if w.get("/domains?name=*.LISTS.example", &v); len(v.Domains) != 1 {
			t.Errorf("%+v", v)
		}
		if w.get("/domains?limit=1", &v); len(v.Domains) != 1 || v.Next != 2 {
			t.Errorf("%+v", v)
		}
		if w.get("/domains?limit=1&page=9", &v); len(v.Domains) != 0 {
			t.Errorf("%+v", v)
		}
		for _, query := range []string{"page=-1", "limit=0x", "limit=100000", "domain=a"} {
			w.page("/domains?"+query, 400)
		}
	})
}

// The page Limits has the limits in force, also those that follow from the memory
// limit.
func TestLimitsPage(t *testing.T) {
	inRouted(t, &Console{}, func(w *world) {
		var v limitsView
		w.get("/limits", &v)
		if v.Memory != 64<<20 || len(v.Parts) != 2 || v.Parts[0].Name != "receive connector internet" || v.Parts[1].Name != "queue" {
			t.Fatalf("%+v", v)
		}
		got := map[string]string{}
		for _, p := range v.Parts {
			for _, l := range p.Limits {
				got[p.Name+" "+l.Name] = l.Text
			}
		}
		for name, want := range map[string]string{"receive connector internet MessageSize": "36 MiB", "receive connector internet Connections": "128", "queue Memory": "8 MiB", "queue Deliveries": "64"} {
			if got[name] != want {
				t.Errorf("%s: %q, want %q", name, got[name], want)
			}
		}
		if page := w.page("/limits", 200); !strings.Contains(page, "The memory limit is 64.0 MiB") || !strings.Contains(page, "36 MiB") {
			t.Error(page)
		}
	})
}

// The check needs a POST and shows the findings of Gateway.Check.
func TestCheckPage(t *testing.T) {
	inRouted(t, &Console{}, func(w *world) {
		if page := w.page("/check", 200); !strings.Contains(page, "<button class=\"primary\">Check</button>") || strings.Contains(page, "Findings") {
			t.Error(page)
		}
		var v checkView
		w.post("/check", 200, form(), &v)
		has := func(part string) bool {
			return slices.ContainsFunc(v.Findings, func(f site.Finding) bool { return strings.Contains(f.Subject+": "+f.Text, part) })
		}
		if !v.Checked || !has("MX of example.com: 10 relay.example.com") || !has("connector partner: smart host") || !has("no network in this test") {
			t.Errorf("%+v", v)
		}
		if page := w.sendPage("/check", form()).Body.String(); !strings.Contains(page, "MX of example.com") || !strings.Contains(page, "Check again") {
			t.Error(page)
		}
	})
}

// The OpenAPI document describes the answers about the send side.
func TestOpenAPIDescribesTheSendSide(t *testing.T) {
	inRouted(t, &Console{}, func(w *world) {
		w.submit(mail("bob@example.net"))
		var api struct {
			Paths      map[string]map[string]operation
			Components struct{ Schemas map[string]schema }
		}
		w.get("/openapi.json", &api)
		for _, c := range []struct {
			path string
			form url.Values // nil: GET
		}{{"/connectors", nil}, {"/explain", nil}, {"/domains", nil}, {"/limits", nil}, {"/check", nil}, {"/check", form()}, {"/compare", form()},
			{"/probe", form("to", "a@x.partner.example", "identity", "account-of-app")}} {
			var got any
			method := "get"
			if c.form == nil {
				w.get(c.path, &got)
			} else {
				method = "post"
				w.post(c.path, 200, c.form, &got)
			}
			for _, fault := range api.Paths[c.path][method].Responses["200"].Content["application/json"].Schema.compare(api.Components.Schemas, got, c.path) {
				t.Error(fault)
			}
		}
		var got any
		w.get("/explain?to=a@example.net&hosts=yes", &got)
		for _, fault := range api.Paths["/explain"]["get"].Responses["200"].Content["application/json"].Schema.compare(api.Components.Schemas, got, "/explain?to") {
			t.Error(fault)
		}
	})
}

// A viewer cannot find out the names of accounts with the answers about them.
func TestExplainTellsViewersNoAccounts(t *testing.T) {
	role := Viewer
	inRouted(t, &Console{Authorize: func(*http.Request) (Access, error) { return Access{"vera", role}, nil }}, func(w *world) {
		w.token = ""
		for _, identity := range []string{"account-of-app", "none"} {
			w.page("/explain?to=bob@mail.partner.example&identity="+identity, 403)
		}
		for _, to := range []string{"bob@mail.partner.example", "bob@office.example"} {
			if page := w.page("/explain?to="+to, 200); strings.Contains(page, "account-of-") {
				t.Errorf("%s: the page has the name of an account:\n%s", to, page)
			}
		}
		role = Operator
		w.page("/explain?to=bob@mail.partner.example&identity=account-of-app", 200)
	})
}
