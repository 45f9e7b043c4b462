package peers

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A PowerDisk is a disk with a volatile write cache. When its power is cut, what was
// synced survives, and any part of the rest: writes are torn at sectors of 512 or 4096
// bytes, and later ones can survive without earlier ones.
type PowerDisk struct {
	// Dev is the disk: a file that a loop device can use.
	Dev string

	t       testing.TB
	in      io.WriteCloser
	answers *bufio.Reader
}

// NeedPowerDisk skips the test if PowerDisk cannot work on this machine. A test that
// uses SmallDisk must call it before.
func NeedPowerDisk(t testing.TB) {
	t.Helper()
	NeedRoot(t)
	for _, dev := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(dev); err != nil {
			t.Skipf("no file systems in user space or no loop devices here: %v", err)
		}
	}
}

// NewPowerDisk makes a disk of the given size in MiB, which is in dir. It exists until
// the test ends. It is served by a program in testdata, with the FUSE library of the
// module proxy.
func NewPowerDisk(t testing.TB, dir string, mib int) *PowerDisk {
	t.Helper()
	NeedPowerDisk(t)
	_, here, _, _ := runtime.Caller(0)
	program := filepath.Join(t.TempDir(), "powerdisk")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join(filepath.Dir(here), "testdata", "powerdisk")
	if out, err := build.CombinedOutput(); err != nil {
		t.Logf("%v\n%s", err, out)
		missing(t, "go-fuse")
	}
	t.Log("peer: go-fuse")
	// A sync takes as long as on a fast disk with a real cache.
	cmd := exec.Command(program, dir, fmt.Sprint(mib), (6 * time.Millisecond).String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	d := &PowerDisk{Dev: filepath.Join(dir, "disk"), t: t, in: in, answers: bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("powerdisk: %v", err)
		}
	})
	d.expect("ready")
	return d
}

// expect reads an answer, which must begin with want.
func (d *PowerDisk) expect(want string) string {
	d.t.Helper()
	line, err := d.answers.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, want) {
		d.t.Fatalf("powerdisk: %q, %v", line, err)
	}
	return strings.TrimSpace(line)
}

// Cut switches the power off. The seed decides what of the unsynced writes survives.
// From then on all reads, writes and syncs fail.
func (d *PowerDisk) Cut(seed uint64) (what string) {
	d.t.Helper()
	fmt.Fprintf(d.in, "cut %d\n", seed)
	return d.expect("cut")
}

// On switches the power on again.
func (d *PowerDisk) On() {
	d.t.Helper()
	fmt.Fprintln(d.in, "on")
	d.expect("on")
}
