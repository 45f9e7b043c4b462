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

const powerCuts = 10

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

	var refused atomic.Int32 // percentage of the recipients
	next := newFaultySink(t, func(stage, _ string) string {
		if stage == "RCPT" && rand.Int32N(100) < refused.Load() {
			return "451 4.3.0 later"
		}
		return ""
	})
	listen := peers.FreeAddr(t)
	crowd := startCrowd(t, listen)
	var arrived []int // messages that arrived before each power cut
	for cut := range powerCuts {
		refused.Store(30)
		if cut == powerCuts-1 {
			refused.Store(100) // all mail waits
		}
		before := crowd.count()
		relay := startRelayProcess(t, mnt, listen, next.addr, "segment=1048576", "retry=300ms")
		await(t, time.Minute, "mail is accepted", func() bool { return crowd.count() >= before+10 })
		pause(t, time.Duration(rand.IntN(500))*time.Millisecond)
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
	refused.Store(0)
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

	twice := checkArrivals(t, next.received(), arrived)
	waited := len(next.received()) - arrived[powerCuts-1]
	t.Logf("%d power cuts; %d messages answered 250, all arrived, %d of them after the last one; %d duplicates; %d arrived without a 250 that the client saw",
		powerCuts, len(acked), waited, twice, len(got)-countIn(got, acked))
	if waited < 10 {
		t.Errorf("only %d messages waited over the last power cut", waited)
	}
}

// checkArrivals checks that each message arrived complete, and twice only if there was a
// power cut between. arrived has how many had arrived before each power cut. It returns
// the number of duplicates.
func checkArrivals(t *testing.T, mails []mail, arrived []int) (twice int) {
	t.Helper()
	life := map[string]int{} // how many power cuts there were before the message arrived
	cuts := 0
	for i, m := range mails {
		for cuts < len(arrived) && i >= arrived[cuts] {
			cuts++
		}
		id := messageID(m.data)
		if !bytes.HasSuffix(m.data, crashMessage(id)) {
			t.Errorf("%s arrived damaged", id)
		}
		before, again := life[id]
		if again {
			twice++
		}
		if again && before == cuts {
			t.Errorf("%s arrived twice without a power cut between", id)
		}
		life[id] = cuts
	}
	return twice
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
