package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// The first run in the README works as it is written.
func TestFirstRun(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## First run\n")
	section, _, _ = strings.Cut(section, "\n## ")
	section = strings.ReplaceAll(section, "/tmp/quickstart/", t.TempDir()+"/run/")
	var socket string
	ran := 0
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		if args, is := strings.CutPrefix(line, "go run ./examples/quickstart "); is {
			args = strings.Replace(args, ":8025", ":0", 1)
			peers.Start(t, peers.Build(t, "../quickstart"), 0, strings.Fields(args)...)
		} else if value, is := strings.CutPrefix(line, "export RELAYCTL_SOCKET="); is {
			socket = value
			peers.Await(t, "the message that waits", func() bool {
				_, err := os.Stat(socket)
				return err == nil && runProcess(t, nil, "queues", "example.org", "-status", "retry", "-socket", socket).status == 0
			})
		} else if args, is := strings.CutPrefix(line, "go run ./examples/relayctl "); is {
			shell := exec.CommandContext(t.Context(), "sh", "-c", os.Args[0]+" "+args)
			shell.Env = append(os.Environ(), asRelayctl+"=1", "RELAYCTL_SOCKET="+socket, "GOCOVERDIR="+t.TempDir())
			out, err := shell.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "example.org") {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
			ran++
		}
	}
	if ran < 5 {
		t.Errorf("the README has %d commands", ran)
	}
}
