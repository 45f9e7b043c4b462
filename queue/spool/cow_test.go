package spool

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A full disk with copy-on-write refuses to overwrite the zeros of a segment. The
// reserve is deleted, so dispositions are recorded, also after a restart. When all mail
// is gone, new mail is accepted.
func TestFullCopyOnWriteDisk(t *testing.T) {
	for _, restart := range []bool{false, true} {
		d := newSimFS(1)
		d.CopyOnWrite = true
		s := openSim(t, d)
		s.tidy() // makes the reserve
		d.Lock()
		d.Capacity = 1 << 20
		d.Unlock()
		n, err := putUntil(t, s, 10000)
		if !errors.Is(err, queue.ErrFull) || n < 100 {
			t.Fatalf("put %d messages, then %v", n, err)
		}
		d.Lock()
		d.Capacity = d.Used() // another program has taken the rest
		d.Unlock()
		if restart {
			d = crash(s, d, false)
			s = openSim(t, d)
			s.Claim(bg, queue.Claim{Owner: "me", Until: forever.Until, Max: 1e6})
		}
		if st := s.Stats(); st.Messages != n {
			t.Fatalf("%d messages, want %d", st.Messages, n)
		}
		for i := range n {
			if err := s.Remove(bg, "me", fmt.Sprintf("m%04d", i)); err != nil {
				t.Fatalf("restart %v: removal %d: %v", restart, i, err)
			}
			if i%50 == 0 {
				if err := s.Sync(bg); err != nil {
					t.Fatalf("restart %v: Sync after %d of %d removals: %v\n%s", restart, i, n, err, d.List())
				}
				s.tidy() // deletes what is not needed
			}
		}
		if err := s.Sync(bg); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s.tidy()
		}
		if err := s.Put(bg, testMessage("new", nil), forever); err != nil {
			t.Errorf("restart %v: Put with room again: %v", restart, err)
		}
		d = crash(s, d, true)
		if got := waiting(t, d); got != "new" {
			t.Errorf("restart %v: the spool has %q", restart, got)
		}
	}
}

// A full disk with a real file system. Dispositions are recorded, the spool opens again,
// and with room again new mail is accepted.
func TestFullBtrfs(t *testing.T) { testFullFileSystem(t, "mkfs.btrfs") }
func TestFullExt4(t *testing.T)  { testFullFileSystem(t, "mkfs.ext4") }

func testFullFileSystem(t *testing.T, program string) {
	mkfs := peers.Need(t, program)
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("no loop devices here: %v", err)
	}
	dir, ok := peers.SmallDisk(t, 300<<10)
	if !ok {
		return
	}
	img, mnt := filepath.Join(dir, "img"), filepath.Join(dir, "mnt")
	script := `truncate -s 256M "$1" && "$3" -q "$1" && mkdir "$2" && mount -o loop "$1" "$2"`
	if out, err := exec.Command("sh", "-c", script, "sh", img, mnt, mkfs).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	defer exec.Command("umount", mnt).Run()
	o := &Options{SegmentSize: 8 << 20, Logger: testLogger(t)}
	s, err := Open(filepath.Join(mnt, "spool"), o)
	if err != nil {
		t.Fatal(err)
	}
	s.tidy()
	n := 0
	for ; ; n++ {
		id := fmt.Sprintf("m%05d", n)
		if err = s.Put(bg, testMessage(id, trialContent(id, 100<<10)), forever); err != nil {
			break
		}
	}
	if !errors.Is(err, queue.ErrFull) {
		t.Fatalf("Put: %v", err)
	}
	exec.Command("sh", "-c", `head -c 300M /dev/urandom >"$1/other"; sync -f "$1"`, "sh", mnt).Run() // until the disk is full
	for round := range 2 {
		for i := n / 2 * round; i < n/2*(round+1)-1; i++ {
			err := s.Remove(bg, "me", fmt.Sprintf("m%05d", i))
			if i%20 == 0 {
				err = errors.Join(err, s.Sync(bg))
			}
			if err != nil {
				t.Fatalf("removal %d of %d: %v", i, n, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(filepath.Join(mnt, "spool"), o); err != nil {
			t.Fatal(err)
		}
		s.Claim(bg, queue.Claim{Owner: "me", Until: forever.Until, Max: 1e6})
	}
	defer s.Close()
	t.Logf("%d messages of 100 KiB, %d are left", n, s.Stats().Messages)
	for range 3 {
		s.tidy()
	}
	if err := s.Put(bg, testMessage("new", nil), forever); err != nil {
		t.Errorf("Put with room again: %v", err)
	}
}
