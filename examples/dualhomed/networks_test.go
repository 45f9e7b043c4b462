//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A network has the gateway (.1) and one other host (.2) in a network namespace
// of its own.
type network struct {
	t    *testing.T
	ns   string
	nets string // "198.19.7."
}

func newNetwork(t *testing.T, n int) *network {
	t.Helper()
	net := &network{t: t, ns: fmt.Sprintf("dh%d-%d", os.Getpid(), n), nets: fmt.Sprintf("198.19.%d.", n)}
	cable := fmt.Sprintf("dh%d-%d", os.Getpid()%1e6, n)
	if out, err := exec.Command("ip", "netns", "add", net.ns).CombinedOutput(); err != nil {
		if os.Getenv(peers.Strict) == "1" {
			t.Fatalf("ip netns add: %v\n%s", err, out)
		}
		t.Skipf("network namespaces cannot be made here: %s", out)
	}
	t.Cleanup(func() {
		exec.Command("ip", "link", "del", cable).Run()
		exec.Command("ip", "netns", "del", net.ns).Run()
	})
	net.ip("link", "add", cable, "type", "veth", "peer", "name", "far", "netns", net.ns)
	net.ip("addr", "add", net.us()+"/24", "dev", cable)
	net.ip("link", "set", cable, "up")
	net.ip("-n", net.ns, "addr", "add", net.them()+"/24", "dev", "far")
	net.ip("-n", net.ns, "link", "set", "far", "up")
	net.ip("-n", net.ns, "link", "set", "lo", "up")
	return net
}

func (n *network) us() string   { return n.nets + "1" }
func (n *network) them() string { return n.nets + "2" }

func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// swaks runs in the network.
func (n *network) swaks(server, from, to string) (string, error) {
	out, err := exec.Command("ip", "netns", "exec", n.ns, peers.Need(n.t, "swaks"), "--timeout", "5",
		"--server", server, "--helo", "client.test", "--from", from, "--to", to).CombinedOutput()
	return string(out), err
}

// Mail is relayed between two real networks. Each has its own mail server and
// DNS server.
func TestTwoNetworks(t *testing.T) {
	if os.Getenv(peers.Strict) != "1" {
		t.Skip("makes networks: set " + peers.Strict + "=1")
	}
	peers.Need(t, "ip")
	octet := 2 * (os.Getpid() % 120) // two runs at the same time must not use the same networks
	lan, inet := newNetwork(t, octet), newNetwork(t, octet+1)
	insideDNS := dnstest.New(t, "mail.example.com. A "+lan.them())
	outsideDNS := dnstest.New(t, "example.net. MX 10 mx.example.net.\nmx.example.net. A "+inet.them())
	organization := (&peers.Postfix{Domains: "example.com", Addr: lan.them() + ":25", Namespace: lan.ns,
		Main: "relayhost = [" + lan.us() + "]\nmynetworks = " + lan.them() +
			"\nvirtual_mailbox_maps = inline:{ { alice@example.com = box/ } }\n"}).Start(t)
	internet := (&peers.Postfix{Domains: "example.net", Addr: inet.them() + ":25", Namespace: inet.ns}).Start(t)
	p := peers.StartSelf(t, "DUALHOMED_MAIN", 2, "-inside", lan.us()+":25", "-outside", inet.us()+":25",
		"-networks", lan.nets+"0/24", "-domain", "example.com", "-organization", "mail.example.com",
		"-inside-dns", insideDNS.Addr, "-outside-dns", outsideDNS.Addr, "-hostname", "gateway.example.com", "-spool", t.TempDir())

	// The usual test of a server with several addresses: telnet from outside to
	// its outside address.
	smtptest.TalkOn(t, peers.Telnet(t, inet.us()+":25", "ip", "netns", "exec", inet.ns), `
		S: 220 gateway.example.com
		C: ehlo client.test
		S: 250 gateway.example.com
		C: quit
		S: 221
		EOF
	`)

	// Inbound: from the internet to the organization, through "outside".
	if out, err := inet.swaks(inet.us(), "carol@example.net", "alice@example.com"); err != nil {
		t.Fatalf("inbound: %v\n%s", err, out)
	}
	if m := organization.Next(t); !strings.Contains(m, "X-Original-To: alice@example.com") || !strings.Contains(m, "(["+inet.them()+"])") {
		t.Errorf("the organization received\n%s", m)
	}

	// Outbound: the organization's server sends to "inside", and the mail leaves
	// from the outside address.
	if out, err := lan.swaks(lan.them(), "alice@example.com", "carol@example.net"); err != nil {
		t.Fatalf("outbound: %v\n%s", err, out)
	}
	if m := internet.Next(t); !strings.Contains(m, "X-Original-To: carol@example.net") || !strings.Contains(m, "["+inet.us()+"]") {
		t.Errorf("the internet received\n%s", m)
	}

	// An unknown mailbox is reported to its sender outside.
	if out, err := inet.swaks(inet.us(), "carol@example.net", "unknown@example.com"); err != nil {
		t.Fatalf("unknown mailbox: %v\n%s", err, out)
	}
	if m := internet.Next(t); !strings.Contains(m, "Status: 5.1.1") {
		t.Errorf("no report, but\n%s", m)
	}

	// Refused: relaying, a sender of the organization from outside, and a client
	// outside that has set a route to "inside".
	inet.ip("-n", inet.ns, "route", "add", lan.nets+"0/24", "via", inet.us())
	for _, try := range []struct{ server, from, to, want string }{
		{inet.us(), "carol@example.net", "dave@example.org", "550 5.7.1"},
		{inet.us(), "boss@example.com", "alice@example.com", "550 5.7.1"},
		{lan.us(), "carol@example.net", "dave@example.org", "550 5.7.1"},
	} {
		if out, err := inet.swaks(try.server, try.from, try.to); err == nil || !strings.Contains(out, try.want) {
			t.Errorf("%v: %v\n%s", try, err, out)
		}
	}
	if n := insideDNS.Count("example.net", "") + insideDNS.Count("mx.example.net", "") + outsideDNS.Count("mail.example.com", ""); n != 0 {
		t.Errorf("%d queries went to the wrong DNS server", n)
	}
	p.Stop(t)
}
