//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"go.uber.org/goleak"
)

const asMain = "CLUSTER_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" { // this test program as the command
		main()
		return
	}
	if os.Getenv(asMeasured) != "" {
		measuredMain()
		return
	}
	goleak.VerifyTestMain(m)
}

// A node is a process of the command. It reaches the database through a proxy.
type node struct {
	name  string
	args  []string
	proxy *pgtest.Proxy
	*peers.Process
}

// newNodes starts a node for each name. The database is at url. Mail
// for example.com goes to the server sink.
func newNodes(t *testing.T, server *pgtest.Server, url, sink string, names []string, more ...string) []*node {
	t.Helper()
	var nodes []*node
	for _, name := range names {
		n := &node{name: name, proxy: server.Proxy(t)}
		n.args = append([]string{"-listen", "127.0.0.1:0", "-hostname", name + ".mx.example.com", "-node", name,
			"-database", n.proxy.URL(url), "-state", filepath.Join(t.TempDir(), name), "-domain", "example.com=" + sink}, more...)
		n.start(t)
		nodes = append(nodes, n)
	}
	return nodes
}

func (n *node) start(t *testing.T) {
	t.Helper()
	n.Process = peers.StartSelf(t, asMain, 1, n.args...)
}
