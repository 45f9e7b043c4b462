package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/clustertest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The OpenAPI document has each route, and the answers of the routes are as it
// says: each field of the JSON is in the schema, and each required field is in
// the JSON.
func TestOpenAPIDescribesTheRoutes(t *testing.T) {
	inCluster(t, &Console{Tracing: tracingIn(t.TempDir(), 0)}, func(w *world, nodes *clustertest.Cluster) {
		if err := w.console.Tracing.Start("<>", time.Hour); err != nil {
			t.Fatal(err)
		}
		defer w.console.Tracing.Stop()
		traced := mail("bob@down.example")
		traced.Content = queue.String(tracedContent)
		nodes.Lease(w.submit(traced).ID, "b")
		w.submit(mail("bob@slow.example"))
		w.queue.Pause(t.Context())
		w.reputation("receive").Block(netip.MustParseAddr("192.0.2.66"), time.Hour)
		defer smtptest.TalkOn(t, w.dial("192.0.2.7:1025"), "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.com>\nS: 250\n").Close()
		w.post("/queues/suspend", 200, form("domain", "example.org", "confirm", "yes", "reason", "test"), nil)
		var api struct {
			OpenAPI    string
			Paths      map[string]map[string]operation
			Components struct{ Schemas map[string]schema }
		}
		w.get("/openapi.json", &api)
		if api.OpenAPI != "3.1.0" {
			t.Errorf("version %q", api.OpenAPI)
		}
		described := 0
		for _, item := range api.Paths {
			described += len(item)
		}
		if described != len(w.console.router.routes) {
			t.Errorf("%d operations are described, the table has %d", described, len(w.console.router.routes))
		}
		for _, r := range w.console.router.routes {
			op, found := api.Paths[r.path][strings.ToLower(r.method)]
			if !found || op.Summary == "" || op.Role != r.role.String() {
				t.Errorf("%s %s: %+v", r.method, r.path, op)
				continue
			}
			if r.view == nil {
				continue
			}
			answer := op.Responses["200"].Content["application/json"].Schema
			for _, path := range w.samples(r) {
				var got any
				if r.method == http.MethodPost {
					w.post(path, 200, w.sampleForm(r), &got)
				} else {
					w.get(path, &got)
				}
				for _, fault := range answer.compare(api.Components.Schemas, got, r.path) {
					t.Error(fault)
				}
			}
		}
		var p any
		w.post("/queues/remove", 400, form("a", "b"), &p)
		ref := api.Paths["/queues"]["get"].Responses["default"].Content["application/problem+json"].Schema
		for _, fault := range ref.compare(api.Components.Schemas, p, "problem") {
			t.Error(fault)
		}
	})
}

// samples are the paths of requests that the route answers.
func (w *world) samples(r route) []string {
	switch r.path {
	case "/messages/{id}":
		all, err := w.queue.Search(w.t.Context(), queue.Filter{}, queue.SearchLimits{})
		if err != nil {
			w.t.Fatal(err)
		}
		return []string{"/messages/" + all.Messages[0].ID, "/messages/" + all.Messages[1].ID}
	case "/tracking/{id}":
		return []string{"/tracking/" + path.Base(w.samples(route{path: "/messages/{id}"})[0])}
	case "/queues/{id}":
		return []string{"/queues/internet:down.example", "/queues/internet:slow.example"}
	case "/probe", "/compare", "/check": // TestOpenAPIDescribesTheSendSide
		return nil
	}
	return []string{r.path}
}

// sampleForm is the form of an action that the route accepts. It is not confirmed.
func (w *world) sampleForm(r route) map[string][]string {
	switch {
	case strings.HasPrefix(r.path, "/messages/"):
		return form("recipient", "bob@down.example")
	case r.path == "/replay":
		return form("message", exported)
	case r.path == "/loglevels":
		return form("part", "queue", "level", "debug")
	case r.path == "/tracing":
		return form("sender", "<>")
	case r.path == "/tracing/stop":
		return nil
	case r.path == "/nodes/drain":
		return form("node", "b")
	case r.path == "/nodes/undrain":
		return form("node", "c")
	case r.path == "/sessions/end":
		return form("side", "in", "id", w.console.Gateway.LiveSessions().Sessions()[0].ID)
	case r.path == "/suspensions/lift":
		return form("domain", "example.org")
	case r.path == "/pause":
		return form("what", "receiving")
	case r.path == "/continue":
		return form("what", "sending")
	case r.path == "/blocks/unblock":
		return form("address", "192.0.2.66")
	case strings.HasPrefix(r.path, "/queues/"):
		return form("queue", "internet:down.example")
	}
	w.t.Fatalf("no sample for %s", r.path)
	return nil
}

type operation struct {
	Summary   string
	Role      string `json:"x-role"`
	Responses map[string]struct {
		Content map[string]struct{ Schema schema }
	}
}

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 string
	Properties           map[string]schema
	Required             []string
	Items                *schema
	AdditionalProperties json.RawMessage
}

// compare returns how a value differs from the schema.
func (s schema) compare(schemas map[string]schema, value any, at string) (faults []string) {
	if s.Ref != "" {
		s = schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	switch v := value.(type) {
	case map[string]any:
		if s.Type != "object" {
			return []string{fmt.Sprintf("%s: an object, want %q", at, s.Type)}
		}
		if s.Properties == nil { // a map
			return nil
		}
		for name, one := range v {
			p, found := s.Properties[name]
			if !found {
				faults = append(faults, fmt.Sprintf("%s: the field %s is not described", at, name))
				continue
			}
			faults = append(faults, p.compare(schemas, one, at+"."+name)...)
		}
		for _, name := range s.Required {
			if _, found := v[name]; !found {
				faults = append(faults, fmt.Sprintf("%s: the field %s is missing", at, name))
			}
		}
	case []any:
		if s.Type != "array" || s.Items == nil {
			return []string{fmt.Sprintf("%s: an array, want %q", at, s.Type)}
		}
		for _, one := range v {
			faults = append(faults, s.Items.compare(schemas, one, at+"[]")...)
		}
	case string, bool, float64:
		kinds := map[string][]string{"string": {"string"}, "bool": {"boolean"}, "float64": {"integer", "number"}}[fmt.Sprintf("%T", v)]
		if !slices.Contains(kinds, s.Type) {
			faults = append(faults, fmt.Sprintf("%s: %v, want %q", at, v, s.Type))
		}
	default:
		faults = append(faults, fmt.Sprintf("%s: null", at))
	}
	return faults
}

// A viewer sees only pages, and no menu entries for operators.
func TestMenuOfAViewer(t *testing.T) {
	inWorld(t, &Console{Authorize: asViewer}, func(w *world) {
		w.token = ""
		if page := w.page("/", 200); strings.Contains(page, "Audit") || !strings.Contains(page, "vera (viewer)") || strings.Contains(page, "Log out") {
			t.Error(page)
		}
		w.page("/audit", 403)
	})
}
