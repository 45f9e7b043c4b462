package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// The first run in the README of each gateway works as it is written: the gateway
// starts, and swaks gets the replies that the README promises.
func TestFirstRuns(t *testing.T) {
	peers.Need(t, "swaks")
	peers.Need(t, "openssl")
	for _, gateway := range []string{"smarthost", "dualhomed", "bridgehead", "perimeter", "provider", "customer", "merger", "submission", "edge", "customhook"} {
		t.Run(gateway, func(t *testing.T) {
			dir := t.TempDir()
			f := firstRun{t: t, gateway: gateway}
			for _, line := range f.commands() {
				line = strings.ReplaceAll(line, "/tmp/", dir+"/")
				switch command, remark, _ := strings.Cut(line, " #"); {
				case strings.HasPrefix(line, "go run ./examples/"+gateway+" "):
					f.start(strings.TrimPrefix(command, "go run ./examples/"+gateway))
				case strings.HasPrefix(line, "go -C examples/"+gateway+" run . "):
					f.start(strings.TrimPrefix(command, "go -C examples/"+gateway+" run ."))
				case strings.HasPrefix(line, "swaks "):
					f.swaks(command, remark)
				default:
					if out, err := exec.Command("bash", "-c", line).CombinedOutput(); err != nil {
						t.Fatalf("%s: %v\n%s", line, err, out)
					}
				}
			}
			if f.gatewayProcess == nil || f.tried == 0 {
				t.Errorf("the README has no first run: %d swaks commands", f.tried)
			}
		})
	}
}

type firstRun struct {
	t              *testing.T
	gateway        string
	gatewayProcess *peers.Process
	tried          int
}

// commands returns the indented lines of the section "First run". A line that ends
// with a backslash continues.
func (f *firstRun) commands() (lines []string) {
	readme, err := os.ReadFile(filepath.Join("../../examples", f.gateway, "README.md"))
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

// start starts the gateway with flags, and with free ports for those of the README.
func (f *firstRun) start(command string) {
	args := strings.Fields(strings.ReplaceAll(command, ":2525", ":0"))
	for i := range args {
		args[i] = strings.Trim(args[i], "'")
	}
	n := strings.Count(command, ":2525")
	args = append(args, "-console", "127.0.0.1:0")
	f.gatewayProcess = peers.Start(f.t, peers.Build(f.t, "../../examples/"+f.gateway), n, args...)
	f.console()
}

var consoleURL = regexp.MustCompile(`console: open (http://[^/]+)/\?token=`)

// console asks the console of the gateway whether the gateway can accept mail.
func (f *firstRun) console() {
	var url string
	peers.Await(f.t, "the URL of the console", func() bool {
		m := consoleURL.FindStringSubmatch(f.gatewayProcess.Log())
		if m == nil {
			return false
		}
		url = m[1]
		return true
	})
	answer, err := http.Get(url + "/readyz")
	if err != nil {
		f.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		f.t.Errorf("%s/readyz: %s", url, answer.Status)
	}
}

// swaks sends the message of a command to the listener that has its IP address.
func (f *firstRun) swaks(command, remark string) {
	f.tried++
	args := strings.Fields(command)[1:]
	for i, arg := range args {
		if host, ok := strings.CutSuffix(arg, ":2525"); ok {
			for _, addr := range f.gatewayProcess.Addrs {
				if h, _, _ := net.SplitHostPort(addr); h == host {
					args[i] = addr
				}
			}
		}
	}
	said, err := peers.Swaks(f.t, args...)
	want, refused := "250 2.0.0 Ok: queued as", false
	if _, reply, ok := strings.Cut(remark, "refused: "); ok {
		want, refused = reply, true
	} else if _, reply, ok := strings.Cut(remark, "deferred: "); ok {
		want, refused = reply, true
	}
	if !strings.Contains(said, want) || refused != (err != nil) {
		f.t.Errorf("%s: %v, want %s\n%s", command, err, want, said)
	}
}
