//go:build linux

package routing

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A farNet is another network with a link that can be cut. It has hosts at
// 198.18.77.1, 198.18.77.2 and fd77::1; the test host is 198.18.77.100.
type farNet struct {
	t    *testing.T
	ns   string // its namespace
	near string // our end of the cable
}

func newFarNet(t *testing.T) *farNet {
	t.Helper()
	peers.Need(t, "ip")
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	n := &farNet{t: t, ns: fmt.Sprintf("bh%d", os.Getpid()), near: fmt.Sprintf("bh%d", os.Getpid()%1000000)}
	if out, err := exec.Command("ip", "netns", "add", n.ns).CombinedOutput(); err != nil {
		if os.Getenv(peers.Strict) == "1" {
			t.Fatalf("ip netns add: %v\n%s", err, out)
		}
		t.Skipf("network namespaces cannot be made here: %s", out) // root, but in a container
	}
	t.Cleanup(func() {
		exec.Command("ip", "link", "del", n.near).Run() // the namespace would take it with it, but later
		exec.Command("ip", "netns", "del", n.ns).Run()
	})
	n.ip("link", "add", n.near, "type", "veth", "peer", "name", "far", "netns", n.ns)
	n.ip("addr", "add", "198.18.77.100/24", "dev", n.near)
	n.ip("addr", "add", "fd77::100/64", "dev", n.near, "nodad")
	n.ip("link", "set", n.near, "up")
	for _, a := range []string{"198.18.77.1/24", "198.18.77.2/24"} {
		n.ip("-n", n.ns, "addr", "add", a, "dev", "far")
	}
	n.ip("-n", n.ns, "addr", "add", "fd77::1/64", "dev", "far", "nodad")
	n.ip("-n", n.ns, "link", "set", "far", "up")
	return n
}

func (n *farNet) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// sink runs smtp-sink at an address of the far network.
func (n *farNet) sink(addr string) {
	n.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", n.ns, peers.Need(n.t, "smtp-sink"), "-u", "postfix", "inet:"+addr, "100")
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	peers.AwaitListening(n.t, "smtp-sink", addr)
}

// Several hosts, both address families, and a link that is cut and restored.
func TestHostsInAnotherNetwork(t *testing.T) {
	n := newFarNet(t)
	n.sink("198.18.77.2:2525")
	n.sink("[fd77::1]:2525")
	s := dnstest.New(t, `
		six.example.    MX 10 six-mx.example.
		six-mx.example. AAAA fd77::1
		both.example.   MX 10 dead.example.
		both.example.   MX 20 four.example.
		dead.example.   A 198.18.77.9
		dead.example.   A 198.18.77.1
		four.example.   A 198.18.77.2
		mixed.example.  A 198.18.77.1
		mixed.example.  AAAA fd77::1
	`)
	r := &Router{Hostname: "relay.test", Resolver: &DNSResolver{Servers: []string{s.Addr}},
		Table: table(t, Connector{Name: "internet", Spaces: []string{"*"}, Port: 2525,
			Transport: SMTP(&smtpclient.Transport{Hostname: "relay.test", HostDownTime: -1,
				Timeouts: smtpclient.Timeouts{Connect: time.Second, Greeting: time.Second, Hello: time.Second, Mail: time.Second}})})}
	defer r.Close()
	for to, host := range map[string]string{
		"a@six.example":   "[fd77::1]:2525",
		"a@both.example":  "198.18.77.2:2525", // one address is silent, the other refuses
		"a@mixed.example": "[fd77::1]:2525",   // IPv4 refuses
	} {
		if got := send(t, r, to)[0]; got.Outcome != queue.Success || got.Addr != host {
			t.Errorf("%s: %+v, want it at %s", to, got, host)
		}
	}
	n.ip("link", "set", n.near, "down")
	for _, to := range []string{"a@six.example", "a@both.example"} { // also over the sessions that were kept
		began := time.Now()
		if got := send(t, r, to)[0]; got.Outcome != queue.Unreachable {
			t.Errorf("%s with the cable cut: %+v", to, got)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s with the cable cut: it took %v to notice", to, took)
		}
	}
	n.ip("link", "set", n.near, "up")
	n.ip("addr", "replace", "fd77::100/64", "dev", n.near, "nodad") // it goes with the link
	peers.AwaitListening(t, "the peer", "[fd77::1]:2525")           // neighbours have to find each other again
	peers.AwaitListening(t, "the peer", "198.18.77.2:2525")
	for _, to := range []string{"a@six.example", "a@both.example"} {
		if got := send(t, r, to)[0]; got.Outcome != queue.Success {
			t.Errorf("%s with the cable mended: %+v", to, got)
		}
	}
}
