package metrics_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/clustertest"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// inCluster runs f with an exporter of a relay that shares its store.
func inCluster(t *testing.T, f func(e *metrics.Exporter, cluster *clustertest.Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cluster := clustertest.New()
		g := runQueue(t, struct {
			*memory.Store
			*clustertest.Cluster
		}{new(memory.Store), cluster}, discard{})
		f(&metrics.Exporter{Gateway: g}, cluster)
	})
}

// The number of series of nodes is bounded, and does not grow with processes that have
// ended. The nodes that have reported last are exported.
func TestNodeSeriesAreBounded(t *testing.T) {
	inCluster(t, func(e *metrics.Exporter, cluster *clustertest.Cluster) {
		var nodes []queue.Node
		for i := range 200 {
			nodes = append(nodes,
				queue.Node{Name: fmt.Sprintf("node%03d", i), State: queue.NodeAlive, Silent: time.Duration(200-i) * time.Second},
				queue.Node{Name: fmt.Sprintf("ended%03d", i), State: queue.NodeStopped})
		}
		cluster.Set(nodes...)
		text, _ := get(t, e, "")
		for part, want := range map[string]int{
			"\nbridgehead_node_state{": 100, "\nbridgehead_node_silent_seconds{": 100, "\nbridgehead_node_leased_messages{": 100, "\nbridgehead_node_draining{": 100,
			`node="node100"`: 4, `node="node199"`: 4, `node="node099"`: 0, `node="ended`: 0,
			"bridgehead_nodes{state=\"alive\"} 200\n": 1, "bridgehead_nodes{state=\"stopped\"} 200\n": 1, "bridgehead_nodes{state=\"silent\"} 0\n": 1, "bridgehead_nodes{state=\"dead\"} 0\n": 1,
		} {
			if got := strings.Count(text, part); got != want {
				t.Errorf("%q is there %d times, want %d", part, got, want)
			}
		}
	})
}

// Without contact with the others, the other metrics are there.
func TestNodesWithoutContact(t *testing.T) {
	inCluster(t, func(e *metrics.Exporter, cluster *clustertest.Cluster) {
		cluster.Fail(queue.ErrUnavailable)
		text, _ := get(t, e, "")
		for part, want := range map[string]bool{"bridgehead_scrape_errors_total 1\n": true, "queue_messages{": true, "bridgehead_nodes": false} {
			if strings.Contains(text, part) != want {
				t.Errorf("%q: %t, want %t", part, !want, want)
			}
		}
	})
}

// A relay that is the only one that uses its store has no metrics of nodes.
func TestNoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := runQueue(t, new(memory.Store), discard{})
		families, err := (&metrics.Exporter{Gateway: g}).Gather(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if strings.Contains(f.Name, "_node") {
				t.Errorf("%s", f.Name)
			}
		}
	})
}
