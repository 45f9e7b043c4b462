package peers

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// SmallDisk runs a test with a disk of the given size in KiB. It runs the test
// again in a child process with its own mount namespace. In the child, dir is the
// disk and ok is true. In the parent, ok is false: SmallDisk has waited for the
// child and the test must return. Only root can mount a disk; otherwise the test
// is skipped.
func SmallDisk(t *testing.T, kib int) (dir string, ok bool) {
	t.Helper()
	const disk = "BRIDGEHEAD_SMALL_DISK"
	if dir := os.Getenv(disk); dir != "" {
		return dir, true
	}
	if os.Getuid() != 0 {
		t.Skip("only root can mount a disk")
	}
	script := fmt.Sprintf(`mount -t tmpfs -o size=%dk tmpfs "$%s" && exec "$0" -test.run='^%s$' -test.v`, kib, disk, t.Name())
	c := exec.Command(Need(t, "unshare"), "-m", "sh", "-c", script, os.Args[0])
	c.Env = append(os.Environ(), disk+"="+t.TempDir())
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Errorf("on the small disk: %v\n%s", err, out)
	}
	return "", false
}
