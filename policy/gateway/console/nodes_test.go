package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/clustertest"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// clusterStore is the store of a relay that shares it with other nodes.
type clusterStore struct {
	*memory.Store
	*clustertest.Cluster
}

// inCluster runs f with a relay that is the node a. The node b is silent, and c was
// stopped while it drained.
func inCluster(t *testing.T, c *Console, f func(w *world, nodes *clustertest.Cluster)) {
	t.Helper()
	nodes := clustertest.New()
	inWorldWith(t, c, clusterStore{new(memory.Store), nodes}, func() queue.Deliverer { return deliverer{} }, func(w *world) {
		now := time.Now()
		started := now.Add(-time.Hour)
		nodes.Set(
			queue.Node{Name: "a", State: queue.NodeAlive, This: true, Started: started, LastBeat: now.Add(-3 * time.Second), Silent: 3 * time.Second, Leased: 1200, Info: map[string]string{"version": "v0.1.0", "host": "a.example.com"}},
			queue.Node{Name: "b", State: queue.NodeSilent, Started: started, LastBeat: now.Add(-12 * time.Second), Silent: 12 * time.Second, Leased: 7},
			queue.Node{Name: "c", State: queue.NodeStopped, Started: started, LastBeat: now.Add(-time.Minute), Silent: time.Minute,
				Draining: queue.Draining{Node: "c", By: "vera", Reason: "a new disk", Since: started}},
		)
		f(w, nodes)
	})
}

// The page has each fact about each node.
func TestNodes(t *testing.T) {
	inCluster(t, &Console{}, func(w *world, nodes *clustertest.Cluster) {
		var v nodesView
		w.get("/nodes", &v)
		started := time.Now().Add(-time.Hour)
		if !v.Shared || v.Total != 3 || len(v.Nodes) != 3 {
			t.Fatalf("%+v", v)
		}
		a, b, c := v.Nodes[0], v.Nodes[1], v.Nodes[2]
		if a.Name != "a" || a.State != "alive" || !a.This || a.Leased != 1200 || a.Silent != 3 || !a.Started.Equal(started) || a.Draining != nil || a.Info["version"] != "v0.1.0" {
			t.Errorf("a is %+v", a)
		}
		if b.Name != "b" || b.State != "silent" || b.This || b.Leased != 7 || b.Silent != 12 || !b.LastBeat.Equal(time.Now().Add(-12*time.Second)) {
			t.Errorf("b is %+v", b)
		}
		if d := c.Draining; c.State != "stopped" || d == nil || d.By != "vera" || d.Reason != "a new disk" || !d.Since.Equal(started) {
			t.Errorf("c is %+v, draining %+v", c, c.Draining)
		}
		page := w.page("/nodes", 200)
		for _, part := range []string{
			"3 nodes", "(this node)", `<span class="status alive">alive</span>`, ">1 200<", "3 s ago", "host: a.example.com",
			`<span class="status silent">silent</span>`, "12 s ago", `<span class="status stopped">stopped</span>`, "by vera since", "a new disk",
			`aria-label="Drain b"`, `aria-label="Undrain c"`,
		} {
			if !strings.Contains(page, part) {
				t.Errorf("%q is missing in\n%s", part, page)
			}
		}

		// A store without contact.
		nodes.Fail(fmt.Errorf("dial: %w", queue.ErrUnavailable))
		for _, path := range []string{"/nodes", "/overview"} {
			if page := w.page(path, 503); !strings.Contains(page, "The store of the relay cannot be reached now.") {
				t.Error(page)
			}
		}
	})
}

// The page of a viewer has no actions.
func TestNodesForViewers(t *testing.T) {
	inCluster(t, &Console{Authorize: asViewer}, func(w *world, _ *clustertest.Cluster) {
		w.token = ""
		if page := w.page("/nodes", 200); strings.Contains(page, "<form") || !strings.Contains(page, "a new disk") {
			t.Error(page)
		}
		w.post("/nodes/drain", 403, form("node", "a", "confirm", "yes", "reason", "test"), nil)
		w.post("/nodes/undrain", 403, form("node", "c", "confirm", "yes", "reason", "test"), nil)
	})
}

// Most stores are used by one node. The page says so, and nothing can be drained.
func TestNodesOfAStoreForOneNode(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		var v nodesView
		w.get("/nodes", &v)
		if v.Shared || v.Nodes == nil || len(v.Nodes) != 0 {
			t.Errorf("%+v", v)
		}
		if page := w.page("/nodes", 200); !strings.Contains(page, errOneNode) || strings.Contains(page, "<table") {
			t.Error(page)
		}
		w.post("/nodes/drain", 409, form("node", "a"), nil)
		w.post("/nodes/undrain", 409, form("node", "a"), nil)
		var o overview
		if w.get("/overview", &o); o.Nodes != nil {
			t.Errorf("%+v", o.Nodes)
		}
		m := w.submit(mail("bob@down.example"))
		if page := w.page("/messages/"+m.ID, 200); strings.Contains(page, "Leased by") {
			t.Error(page)
		}
	})
}

// A node is drained and undrained with a confirmation and a reason, and the audit log
// records it.
func TestDrain(t *testing.T) {
	inCluster(t, &Console{Authorize: asOperator}, func(w *world, nodes *clustertest.Cluster) {
		w.token = ""
		draining := func(name string) queue.Draining {
			t.Helper()
			all, err := nodes.Nodes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range all {
				if n.Name == name {
					return n.Draining
				}
			}
			t.Fatalf("no node %s", name)
			return queue.Draining{}
		}
		var o outcome
		w.post("/nodes/drain", 200, form("node", "b"), &o)
		if o.Action != "Drain the node b" || o.Count != 7 || o.Done || draining("b") != (queue.Draining{}) {
			t.Errorf("without confirmation: %+v", o)
		}
		w.post("/nodes/drain", 400, form("node", "b", "confirm", "yes"), nil)
		w.post("/nodes/drain", 200, form("node", "b", "confirm", "yes", "reason", "a new kernel"), &o)
		if d := draining("b"); !o.Done || o.Count != 7 || d.By != "oscar" || d.Reason != "a new kernel" || d.Since.IsZero() {
			t.Errorf("%+v, %+v", o, d)
		}
		w.post("/nodes/drain", 409, form("node", "b", "confirm", "yes", "reason", "again"), nil)
		w.post("/nodes/undrain", 200, form("node", "b"), &o)
		if o.Action != "End the draining of the node b" || o.Count != 1 || o.Done || draining("b") == (queue.Draining{}) {
			t.Errorf("without confirmation: %+v", o)
		}
		w.post("/nodes/undrain", 200, form("node", "b", "confirm", "yes", "reason", "it runs"), &o)
		if d := draining("b"); !o.Done || o.Count != 1 || d != (queue.Draining{}) {
			t.Errorf("%+v, %+v", o, d)
		}
		w.post("/nodes/undrain", 409, form("node", "b", "confirm", "yes", "reason", "again"), nil)
		for _, path := range []string{"/nodes/drain", "/nodes/undrain"} {
			w.post(path, 404, form("node", "z"), nil)
			w.post(path, 400, form(), nil)
			w.post(path, 400, form("name", "b"), nil)
		}

		// The browser confirms on a page, and returns to the nodes.
		if page := w.sendPage("/nodes/drain", form("node", "b")).Body.String(); !strings.Contains(page, "<strong>7</strong> messages") || !strings.Contains(page, "gives its messages to the other nodes") || !strings.Contains(page, "/readyz of the node fails while it drains.") {
			t.Error(page)
		}
		answer := w.sendPage("/nodes/drain", form("node", "b", "confirm", "yes", "reason", "by a browser"))
		if to := answer.Header().Get("Location"); answer.Code != http.StatusSeeOther || !strings.HasPrefix(to, "../nodes?done=") {
			t.Errorf("%d to %q", answer.Code, to)
		}

		var audit auditView
		w.get("/audit", &audit)
		got := ""
		for _, e := range audit.Entries {
			got = e.Action + " by " + e.Name + ": " + e.Reason + ", " + e.Result + "\n" + got
		}
		want := "Drain the node b by oscar: a new kernel, done\nEnd the draining of the node b by oscar: it runs, done\nDrain the node b by oscar: by a browser, done\n"
		if got != want {
			t.Errorf("audit:\n%s\nwant\n%s", got, want)
		}
	})
}

// The confirmation warns if no other node would deliver.
func TestDrainTheLastNode(t *testing.T) {
	const warning = "No other node delivers mail now"
	inCluster(t, &Console{}, func(w *world, nodes *clustertest.Cluster) {
		warned := func() bool {
			return strings.Contains(w.sendPage("/nodes/drain", form("node", "a")).Body.String(), warning)
		}
		if !warned() { // b is silent, c is stopped
			t.Error("no warning, and no other node is alive")
		}
		a, d := queue.Node{Name: "a", State: queue.NodeAlive, This: true}, queue.Node{Name: "d", State: queue.NodeAlive}
		nodes.Set(a, d)
		if warned() {
			t.Error("a warning, and the node d delivers")
		}
		d.Draining = queue.Draining{Node: "d", By: "vera"}
		nodes.Set(a, d)
		if !warned() {
			t.Error("no warning, and the node d drains")
		}
	})
}

// The page warns if two processes have one name.
func TestNodesWithOneName(t *testing.T) {
	inCluster(t, &Console{}, func(w *world, nodes *clustertest.Cluster) {
		const warning = "processes have this name"
		nodes.Set(queue.Node{Name: "a", State: queue.NodeAlive, Processes: 1})
		if page := w.page("/nodes", 200); strings.Contains(page, warning) {
			t.Error(page)
		}
		nodes.Set(queue.Node{Name: "a", State: queue.NodeAlive, Processes: 2})
		if page := w.page("/nodes", 200); !strings.Contains(page, "2 "+warning) {
			t.Error(page)
		}
		var v nodesView
		if w.get("/nodes", &v); v.Nodes[0].Processes != 2 {
			t.Errorf("%+v", v.Nodes[0])
		}
	})
}

// The overview has a note if a node does not deliver.
func TestOverviewOfNodes(t *testing.T) {
	inCluster(t, &Console{}, func(w *world, nodes *clustertest.Cluster) {
		var o overview
		w.get("/overview", &o)
		if n := o.Nodes; n == nil || *n != (nodeCounts{Alive: 1, Silent: 1, Draining: 1}) {
			t.Errorf("%+v", n)
		}
		if page := w.page("/", 200); !strings.Contains(page, "Of the nodes that share the queue, 1 is silent, 1 drains.") {
			t.Error(page)
		}
		d := queue.Draining{By: "vera"}
		nodes.Set(queue.Node{Name: "a", State: queue.NodeDead, Draining: d}, queue.Node{Name: "b", State: queue.NodeDead, Draining: d}, queue.Node{Name: "c", State: queue.NodeSilent}, queue.Node{Name: "d", State: queue.NodeSilent})
		if page := w.page("/", 200); !strings.Contains(page, "2 are silent, 2 are dead, 2 drain.") {
			t.Error(page)
		}
		nodes.Set(queue.Node{Name: "a", State: queue.NodeAlive, This: true}, queue.Node{Name: "b", State: queue.NodeStopped})
		if page := w.page("/", 200); strings.Contains(page, "Of the nodes") {
			t.Error(page)
		}
	})
}

// An action skips the messages that other nodes deliver, is done to all others, and says
// what it has skipped.
func TestActionsSkip(t *testing.T) {
	inCluster(t, &Console{}, func(w *world, nodes *clustertest.Cluster) {
		var ids []string
		both := form("confirm", "yes", "reason", "test")
		for i := range 5 {
			m := w.submit(mail(fmt.Sprintf("to%d@down.example", i)))
			ids = append(ids, m.ID)
			both.Add("id", m.ID)
		}
		nodes.Lease(ids[0], "b")
		nodes.Lease(ids[2], "c")
		nodes.Lease(ids[3], "b")
		status := func(id string) queue.MessageStatus {
			info, err := w.queue.Message(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return info.Status
		}
		var o outcome
		w.post("/messages/suspend", 200, both, &o)
		if !o.Done || o.Count != 2 || len(o.Skipped) != 2 || o.Skipped["b"] != 2 || o.Skipped["c"] != 1 {
			t.Errorf("by ID: %+v", o)
		}
		for i, want := range []bool{false, true, false, false, true} {
			if got := status(ids[i]) == queue.MessageSuspended; got != want {
				t.Errorf("message %d: %v", i, status(ids[i]))
			}
		}
		const skipped = "3 messages were skipped, because other nodes deliver them: 2 on b, 1 on c. Do it on these nodes, or later."
		audited := func(result string) auditEntry {
			t.Helper()
			var v auditView
			w.get("/audit", &v)
			if e := v.Entries[0]; e.Result != result {
				t.Errorf("audited: %+v", e)
			}
			return v.Entries[0]
		}
		if e := audited("done"); e.Count != 2 || e.Skipped["b"] != 2 || e.Skipped["c"] != 1 || e.Error != "" {
			t.Errorf("audited: %+v", e)
		}
		if page := w.page("/audit", 200); !strings.Contains(page, skipped) {
			t.Error(page)
		}

		// By a filter, and by the queue.
		o = outcome{}
		w.post("/messages/resume", 200, form("recipient", "*@down.example", "confirm", "yes", "reason", "test"), &o)
		if !o.Done || o.Count != 2 {
			t.Errorf("by a filter: %+v", o)
		}
		o = outcome{}
		answer := w.sendPage("/messages/retry", form("recipient", "*@down.example", "confirm", "yes", "reason", "test"))
		if answer.Code != http.StatusSeeOther {
			t.Errorf("a browser: %d", answer.Code)
		}
		if page := w.page("/messages"+strings.TrimPrefix(answer.Header().Get("Location"), "../messages"), 200); !strings.Contains(page, skipped) {
			t.Error(page)
		}
		w.post("/queues/remove", 200, form("queue", "internet:down.example", "confirm", "yes", "reason", "test"), &o)
		if !o.Done || o.Count != 2 || o.Skipped["b"] != 2 || o.Skipped["c"] != 1 {
			t.Errorf("by the queue: %+v", o)
		}

		// If nothing is done, the action has failed.
		var p problem
		w.post("/messages/remove", 409, form("id", ids[0], "confirm", "yes", "reason", "test"), &p)
		if p.Detail != "Nothing was done. 1 message was skipped, because another node delivers it: 1 on b. Do it on these nodes, or later." {
			t.Errorf("%+v", p)
		}
		if e := audited("failed"); e.Count != 0 || !strings.Contains(e.Error, "1 on b") {
			t.Errorf("audited: %+v", e)
		}
	})
}

// The page of a message says which node has leased it.
func TestMessageIsLeasedByANode(t *testing.T) {
	inCluster(t, &Console{}, func(w *world, nodes *clustertest.Cluster) {
		m := w.submit(mail("bob@down.example"))
		var v messageView
		if w.get("/messages/"+m.ID, &v); v.Node != "" {
			t.Errorf("the node %q", v.Node)
		}
		if page := w.page("/messages/"+m.ID, 200); strings.Contains(page, "Leased by the node") {
			t.Error(page)
		}
		nodes.Lease(m.ID, "b")
		if w.get("/messages/"+m.ID, &v); v.Node != "b" {
			t.Errorf("the node %q, want b", v.Node)
		}
		if page := w.page("/messages/"+m.ID, 200); !strings.Contains(page, `<dt>Leased by the node</dt><dd><a href="../nodes">b</a></dd>`) {
			t.Error(page)
		}
	})
}

// Names and texts of nodes are inert, and the page is bounded.
func TestHostileNodes(t *testing.T) {
	inCluster(t, &Console{}, func(w *world, nodes *clustertest.Cluster) {
		name := "<b>\u202enode\x1b"
		many := []queue.Node{{Name: name, State: queue.NodeAlive, Info: map[string]string{"<i>": "\u202e<u>"}, Draining: queue.Draining{By: "<s>", Reason: "\x00<p>"}}}
		for range maxPageRows {
			many = append(many, queue.Node{Name: "n", State: queue.NodeDead})
		}
		nodes.Set(many...)
		page := w.page("/nodes", 200)
		if !strings.Contains(page, "&lt;b&gt;\\u202Enode\\x1B") || strings.Contains(page, "\u202e<") || strings.Contains(page, "<i>") || strings.Contains(page, "<s>") {
			t.Errorf("%.3000s", page)
		}
		var v nodesView
		if w.get("/nodes", &v); len(v.Nodes) != maxPageRows || v.Total != maxPageRows+1 || !strings.Contains(page, "The first 1 000 of 1 001 nodes") {
			t.Errorf("%d of %d", len(v.Nodes), v.Total)
		}
		w.post("/nodes/undrain", 200, form("node", name, "confirm", "yes", "reason", "test"), nil) // the name is sent as it is
		synctest.Wait()
	})
}
