package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A MemoryGroup is a control group with a memory limit, as a container has.
type MemoryGroup struct {
	dir         string
	peak, kills string // files: the largest use; the kills by the kernel
}

// NewMemoryGroup makes a control group that may use the given number of bytes,
// without swap. It exists until the test ends, after its processes. If the
// process may not make control groups, the test is skipped.
func NewMemoryGroup(t *testing.T, limit int64) *MemoryGroup {
	t.Helper()
	const root = "/sys/fs/cgroup"
	name := fmt.Sprintf("bridgehead-test-%d", os.Getpid())
	g := &MemoryGroup{dir: filepath.Join(root, "memory", name), peak: "memory.max_usage_in_bytes", kills: "memory.oom_control"}
	max, swap, swapLimit := "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", limit
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil { // v2
		os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0) // otherwise the next steps fail
		g = &MemoryGroup{dir: filepath.Join(root, name), peak: "memory.peak", kills: "memory.events"}
		max, swap, swapLimit = "memory.max", "memory.swap.max", 0
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Skipf("this process cannot make memory control groups: %v", err)
	}
	t.Cleanup(func() { os.Remove(g.dir) })
	if err := os.WriteFile(filepath.Join(g.dir, max), fmt.Append(nil, limit), 0); err != nil {
		t.Skipf("this process cannot limit the memory of control groups: %v", err)
	}
	os.WriteFile(filepath.Join(g.dir, swap), fmt.Append(nil, swapLimit), 0) // without swap there is no such file
	return g
}

// Command returns a command that runs a program in the group.
func (g *MemoryGroup) Command(program string, args ...string) *exec.Cmd {
	script := `echo $$ >"$0/cgroup.procs" && exec "$@"`
	return exec.Command("sh", append([]string{"-c", script, g.dir, program}, args...)...)
}

// Peak returns the largest number of bytes that the group has used. It includes
// the page cache.
func (g *MemoryGroup) Peak(t *testing.T) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.TrimSpace(g.read(t, g.peak)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var oomKills = regexp.MustCompile(`(?m)^oom_kill (\d+)$`)

// Kills returns how many processes of the group the kernel has killed.
func (g *MemoryGroup) Kills(t *testing.T) int {
	t.Helper()
	text := g.read(t, g.kills)
	m := oomKills.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s: no number of kills in %q", g.kills, text)
	}
	n, _ := strconv.Atoi(m[1]) // digits only
	return n
}

func (g *MemoryGroup) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
