package routing

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

func describeConfig(c *dnsConfig) string {
	var addrs []string
	for _, s := range c.servers {
		addrs = append(addrs, s.addr)
	}
	return fmt.Sprintf("%s %v %d %v", strings.Join(addrs, " "), c.timeout, c.attempts, c.rotate)
}

func TestParseResolvConf(t *testing.T) {
	const local = "127.0.0.1:53 [::1]:53 "
	for text, want := range map[string]string{
		"": local + "5s 2 false",
		"search example.com\noptions ndots:3 edns0 trust-ad use-vc":                              local + "5s 2 false",
		"nameserver 192.0.2.1\nnameserver 2001:db8::1\n":                                         "192.0.2.1:53 [2001:db8::1]:53 5s 2 false",
		"nameserver\t192.0.2.1\r\n":                                                              "192.0.2.1:53 5s 2 false",
		"nameserver fe80::1%eth0":                                                                "[fe80::1%eth0]:53 5s 2 false",
		"nameserver 192.0.2.1 # ours":                                                            "192.0.2.1:53 5s 2 false",
		"#nameserver 192.0.2.1\n;nameserver 192.0.2.2":                                           local + "5s 2 false",
		"nameserver ns.example.net\nnameserver":                                                  local + "5s 2 false",
		"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4": "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53 5s 2 false",
		"options timeout:2 attempts:4 rotate":                                                    local + "2s 4 true",
		"options rotate\noptions timeout:2":                                                      local + "2s 2 true",
		"options timeout:600 attempts:99":                                                        local + "30s 5 false",
		"options timeout:0 attempts:0":                                                           local + "1s 1 false",
		"options timeout:-1 attempts:x rotate:1 timeout":                                         local + "5s 2 false",
		"options timeout:99999999999999999999 attempts:":                                         local + "5s 2 false",
		"nameserver 192.0.2.1\nsortlist 130.155.160.0/20\n":                                      "192.0.2.1:53 5s 2 false",
	} {
		if got := describeConfig(parseResolvConf(text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// The fields take precedence over the options in the file.
func TestResolverSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write(t, filepath.Dir(path), "resolv.conf", "nameserver 192.0.2.1\noptions timeout:3 attempts:4 rotate\n")
	for _, c := range []struct {
		r    *DNSResolver
		want string
	}{
		{&DNSResolver{}, "192.0.2.1:53 3s 4 true"},
		{&DNSResolver{Timeout: time.Second, Attempts: 1}, "192.0.2.1:53 1s 1 true"},
		{&DNSResolver{Servers: []string{"192.0.2.9"}}, "192.0.2.9:53 5s 2 false"},
		{&DNSResolver{Servers: []string{"192.0.2.9"}, Timeout: time.Second, Attempts: 3}, "192.0.2.9:53 1s 3 false"},
	} {
		c.r.conf.path = path
		if got, err := c.r.config(); err != nil || describeConfig(got) != c.want {
			t.Errorf("%s, %v; want %s", describeConfig(got), err, c.want)
		}
	}
}

// A file that appears, changes or is missing for a short time is noticed
// within seconds. The state of the servers stays while the file does not
// change.
func TestResolvConfIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	f := &confFile{path: filepath.Join(dir, "resolv.conf")}
	now := time.Now()
	load := func(want string) *dnsConfig {
		t.Helper()
		now = now.Add(confCheck)
		c, err := f.load(now)
		if err != nil {
			t.Fatal(err)
		}
		if got := describeConfig(c); !strings.HasPrefix(got, want+" ") {
			t.Errorf("%s, want %s", got, want)
		}
		return c
	}
	if runtime.GOOS != "windows" {
		load("127.0.0.1:53 [::1]:53")
	}
	write(t, dir, "resolv.conf", "nameserver 192.0.2.1")
	if c, err := f.load(now.Add(confCheck - 1)); runtime.GOOS != "windows" && (err != nil || c.servers[0].addr != "127.0.0.1:53") {
		t.Errorf("looked at again at once: %v", err)
	}
	first := load("192.0.2.1:53")
	if second := load("192.0.2.1:53"); first != second {
		t.Error("an unchanged file was read again")
	}
	write(t, dir, "resolv.conf", "nameserver 192.0.2.22")
	load("192.0.2.22:53")
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	load("192.0.2.22:53")
	write(t, dir, "resolv.conf", "nameserver 192.0.2.3")
	load("192.0.2.3:53")
}

// The host's own file, in comparison with net.Resolver and glibc: without a
// nameserver line the server at 127.0.0.1 is used; search and ndots are
// ignored.
func TestResolvConfOfTheHost(t *testing.T) {
	const inside = "BRIDGEHEAD_RESOLV_CONF"
	dir := os.Getenv(inside)
	if dir == "" { // again, in a network and with a file of our own
		if os.Getuid() != 0 || runtime.GOOS != "linux" {
			t.Skip("only root can make a network namespace")
		}
		peers.Need(t, "ip")
		dir = t.TempDir()
		write(t, dir, "resolv.conf", "search example\noptions ndots:5\n")
		c := exec.Command(peers.Need(t, "unshare"), "-n", "-m", "sh", "-e", "-c",
			`ip link set lo up; mount --bind "$`+inside+`/resolv.conf" /etc/resolv.conf; exec "$0" -test.run=^TestResolvConfOfTheHost$ -test.v`, os.Args[0])
		c.Env = append(os.Environ(), inside+"="+dir)
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	startBIND(t, dir, 53, map[string]string{"example": "here A 192.0.2.1\n"})
	a, err := new(DNSResolver).Lookup(t.Context(), "here.example", TypeA)
	if err != nil || a.Addrs[0].String() != "192.0.2.1" {
		t.Errorf("%v, %v", a, err)
	}
	if addrs, err := (&net.Resolver{PreferGo: true}).LookupHost(t.Context(), "here.example."); err != nil || len(addrs) != 1 {
		t.Errorf("net.Resolver: %v, %v", addrs, err)
	}
	if out, err := exec.Command(peers.Need(t, "getent"), "hosts", "here.example").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "192.0.2.1") {
		t.Errorf("getent: %s, %v", out, err)
	}
	if a, err := new(DNSResolver).Lookup(t.Context(), "here", TypeA); err == nil {
		t.Errorf("a name was completed by the search list: %v", a)
	}
}

// Twice the file takes about twice the work.
func TestParseResolvConfIsLinear(t *testing.T) {
	for _, line := range []string{"nameserver 192.0.2.1\n", "options timeout:1 rotate\n", "search a b c\n", "\n", "options " + strings.Repeat("x:1 ", 100) + "\n"} {
		parse := func(n int) float64 {
			text := strings.Repeat(line, n)
			return testing.AllocsPerRun(5, func() { parseResolvConf(text) })
		}
		if one, two := parse(1000), parse(2000); two > 3*one+50 {
			t.Errorf("%q: %v allocations for 1000 lines, %v for 2000", line, one, two)
		}
	}
}

// For any file, there are servers and limits.
func FuzzResolvConf(f *testing.F) {
	f.Add("nameserver 192.0.2.1\noptions timeout:1 attempts:3 rotate\nsearch example.com\n")
	f.Add("# comment\n; another\nnameserver fe80::1%eth0\r\noptions ndots:2 timeout:99999999999")
	f.Fuzz(func(t *testing.T, text string) {
		c := parseResolvConf(text)
		if n := len(c.servers); n == 0 || n > maxConfServers {
			t.Errorf("%d servers", n)
		}
		if c.timeout < time.Second || c.timeout > maxConfTimeout || c.attempts < 1 || c.attempts > maxConfAttempts {
			t.Errorf("timeout %v, attempts %d", c.timeout, c.attempts)
		}
		for _, s := range c.servers {
			if _, _, err := net.SplitHostPort(s.addr); err != nil {
				t.Error(err)
			}
		}
	})
}
