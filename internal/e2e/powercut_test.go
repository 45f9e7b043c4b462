package e2e

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

const powerCuts = 12

// Promises 1 and 3: a message that was answered with 250 survives power cuts, and
// duplicates require one. The spool of a relay process is on a real file system, on a
// disk with a volatile write cache. At random times the power is cut: of what was not
// synced any part survives. Some recipients are refused at first, so mail waits over
// several power cuts.
func TestNothingIsLostToPowerCuts(t *testing.T) {
	peers.NeedPowerDisk(t)
	mkfs := peers.Need(t, "mkfs.ext4")
	dir, ok := peers.SmallDisk(t, 1<<10) // for its own mount namespace
	if !ok {
		return
	}
	fuse, mnt := filepath.Join(dir, "fuse"), filepath.Join(dir, "mnt")
	must(t, os.Mkdir(fuse, 0o700))
	must(t, os.Mkdir(mnt, 0o700))
	disk := peers.NewPowerDisk(t, fuse, 128)
	command(t, mkfs, "-q", "-F", disk.Dev)
	mount := func() { command(t, "mount", "-o", "loop", disk.Dev, mnt) }
	umount := func() { command(t, "umount", mnt) }
	mount()
	t.Cleanup(func() { exec.Command("umount", "-q", mnt).Run() }) // if the test has failed

	var well atomic.Bool
	next := newFaultySink(t, func(stage, _ string) string {
		if stage == "RCPT" && !well.Load() && rand.IntN(3) == 0 {
			return "451 4.3.0 later"
		}
		return ""
	})
	listen := peers.FreeAddr(t)
	crowd := startCrowd(t, listen)
	var arrived []int // messages that arrived before each power cut
	for range powerCuts {
		relay := startRelayProcess(t, mnt, listen, next.addr, "segment=1048576", "retry=300ms")
		pause(t, time.Duration(100+rand.IntN(500))*time.Millisecond)
		seed := rand.Uint64()
		t.Logf("seed %d: %s", seed, disk.Cut(seed))
		must(t, relay.Process.Kill())
		relay.Wait() // "signal: killed"
		next.hangUp()
		arrived = append(arrived, len(next.received()))
		umount()
		disk.On()
		mount()
		checkSpool(t, mnt)
	}
	acked := crowd.stop()
	well.Store(true)
	relay := startRelayProcess(t, mnt, listen, next.addr, "segment=1048576", "retry=300ms")
	got := map[string]int{}
	await(t, time.Minute, "every message that was answered 250 at the next hop", func() bool {
		clear(got)
		for _, m := range next.received() {
			got[messageID(m.data)]++
		}
		return countIn(got, acked) == len(acked)
	})
	must(t, relay.Process.Kill())
	relay.Wait()
	umount()

	waited, twice := 0, 0
	life := map[string]int{} // how many power cuts there were before the message arrived
	cuts := 0
	for i, m := range next.received() {
		for cuts < len(arrived) && i >= arrived[cuts] {
			cuts++
		}
		id := messageID(m.data)
		if !bytes.HasSuffix(m.data, crashMessage(id)) {
			t.Errorf("%s arrived damaged", id)
		}
		if before, again := life[id]; again {
			twice++
			if before == cuts {
				t.Errorf("%s arrived twice without a power cut between", id)
			}
		}
		life[id] = cuts
	}
	if len(arrived) > 0 {
		waited = len(next.received()) - arrived[len(arrived)-1]
	}
	t.Logf("%d power cuts; %d messages answered 250, all arrived, %d of them after the last one; %d duplicates; %d arrived without a 250 that the client saw",
		powerCuts, len(acked), waited, twice, len(got)-countIn(got, acked))
	if len(acked) < 10*powerCuts || waited == 0 {
		t.Errorf("only %d messages were accepted, and %d waited: too few to show anything", len(acked), waited)
	}
}

// checkSpool looks at the spool as the power cut has left it: nothing that was
// acknowledged may be damaged.
func checkSpool(t *testing.T, dir string) {
	t.Helper()
	v, err := spool.Inspect(dir)
	must(t, err)
	defer v.Close()
	damaged, err := v.Verify(t.Context())
	must(t, err)
	for _, d := range damaged {
		t.Errorf("damage: %+v", d)
	}
}

func command(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
}
