//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A group is the name of a control group of Linux (version 1), which limits and
// measures the processors that its processes use. It is empty if there are no such
// groups, or if this process may not make one: then nothing is limited or measured.
type group string

// newGroup makes a group whose processes may use a number of processors together, 0: any
// number. They come before the other programs of the machine.
func newGroup(b *testing.B, name string, processors float64) group {
	b.Helper()
	g := group("bridgehead-" + strconv.Itoa(os.Getpid()) + "-" + name)
	for _, controller := range []string{"cpu", "cpuacct"} {
		if err := os.Mkdir(g.file(controller, ""), 0o755); err != nil {
			b.Logf("no limit for %s: %v", name, err)
			return ""
		}
		b.Cleanup(func() {
			group("").write(controller, "cgroup.procs", os.Getpid()) // it may have joined g
			os.Remove(g.file(controller, ""))
		})
	}
	if err := g.write("cpu", "cpu.shares", 1<<18); err != nil {
		b.Fatal(err)
	}
	if processors > 0 {
		const period = 20_000 // microseconds
		if err := g.write("cpu", "cpu.cfs_period_us", period); err != nil {
			b.Fatal(err)
		}
		if err := g.write("cpu", "cpu.cfs_quota_us", int(processors*period)); err != nil {
			b.Fatal(err)
		}
	}
	return g
}

func (g group) file(controller, name string) string {
	return filepath.Join("/sys/fs/cgroup", controller, string(g), name)
}

func (g group) write(controller, name string, value int) error {
	return os.WriteFile(g.file(controller, name), []byte(strconv.Itoa(value)), 0)
}

// join moves a process to the group; 0 is this one. The processes that it starts later
// are in the group, too.
func (g group) join(pid int) error {
	if g == "" {
		return nil
	}
	if err := g.write("cpu", "cgroup.procs", pid); err != nil {
		return err
	}
	return g.write("cpuacct", "cgroup.procs", pid)
}

// used returns how long the processes of the group have used processors.
func (g group) used(b *testing.B) time.Duration {
	b.Helper()
	if g == "" {
		return 0
	}
	text, err := os.ReadFile(g.file("cpuacct", "cpuacct.usage"))
	if err != nil {
		b.Fatal(err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(ns)
}
