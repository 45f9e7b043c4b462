//go:build unix

package main

import (
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
)

// The first run in the README works as it is written, with other ports and another
// PostgreSQL: node a accepts the message, and node b notices that node a was killed.
func TestFirstRun(t *testing.T) {
	t.Parallel()
	f := newFirstRun(t)
	for _, line := range f.commands() {
		command, _, _ := strings.Cut(line, " #")
		switch {
		case strings.HasPrefix(line, "su postgres -c "):
			f.administer(strings.Trim(strings.TrimPrefix(command, "su postgres -c "), `"`))
		case command == "go -C examples/cluster build -o /tmp/cluster .": // the nodes are this test program
		case strings.HasPrefix(line, "/tmp/cluster "):
			f.nodes = append(f.nodes, f.start(strings.TrimPrefix(command, "/tmp/cluster ")))
		case strings.HasPrefix(line, "swaks "):
			said, err := peers.Swaks(t, strings.Fields(strings.Replace(command, "127.0.0.1:2525", f.nodes[0].Addrs[0], 1))[1:]...)
			if err != nil || !strings.Contains(said, "250 2.0.0 Ok: queued as ") {
				t.Errorf("%s: %v\n%s", command, err, said)
			}
		case command == "pkill -9 -f 'cluster -node a'":
			f.nodes[0].Kill()
		default:
			t.Errorf("the test does not know the command %q", line)
		}
	}
	if len(f.nodes) != 2 {
		t.Fatalf("the README starts %d nodes", len(f.nodes))
	}
	peers.Await(t, "node b notices", func() bool { return strings.Contains(f.nodes[1].Log(), "a node is dead") })
	f.nodes[1].Stop(t)
}

type firstRun struct {
	t     *testing.T
	nodes []*peers.Process
	you   string
	host  string // of the server: host=…&port=… in a URL
	env   []string
	dir   string // for /tmp
}

func newFirstRun(t *testing.T) *firstRun {
	t.Helper()
	you, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	server := pgtest.Start(t)
	admin, err := url.Parse(server.Admin(server.Database(t)))
	if err != nil {
		t.Fatal(err)
	}
	socket := admin.Query()
	env := append(os.Environ(), "PGUSER=postgres", "PGHOST="+socket.Get("host"), "PGPORT="+socket.Get("port"))
	return &firstRun{t: t, you: you.Username, host: socket.Encode(), env: env, dir: t.TempDir()}
}

// commands returns the indented lines of the section. A line that ends with a backslash
// continues.
func (f *firstRun) commands() (lines []string) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		f.t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## First run\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(strings.ReplaceAll(section, "\\\n", "")) {
		if strings.HasPrefix(line, "    ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// administer runs a command as the administrator of the database.
func (f *firstRun) administer(command string) {
	f.t.Helper()
	args := strings.Fields(command)
	for i := range args {
		if args[i] == "you" {
			args[i] = f.you
		}
	}
	cmd := exec.Command(peers.Need(f.t, args[0]), args[1:]...)
	cmd.Env = f.env
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// start starts a node.
func (f *firstRun) start(flags string) *peers.Process {
	f.t.Helper()
	args := strings.Fields(flags)
	for i, a := range args {
		a = strings.Replace(strings.Trim(a, "'"), "host=/var/run/postgresql", f.host, 1)
		a = strings.Replace(a, "/tmp/", f.dir+"/", 1)
		if a == "-listen" || a == "-console" {
			args[i+1] = "127.0.0.1:0"
		}
		args[i] = a
	}
	args = append(args, "-beat", "1s", "-dead-after", "3s") // so that the test takes less time
	return peers.StartSelf(f.t, asMain, 1, args...)
}
