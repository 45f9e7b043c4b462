package peers

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// SmallDisk gives a test a disk of that many KiB: it runs the test again, in a
// mount namespace where dir is the disk. ok is false in the run that waits for
// that one; it has nothing more to do. Only root can mount a disk: the test is
// skipped for others.
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
